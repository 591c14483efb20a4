// Tests that fail, for TestReporter.

import assert from 'node:assert/strict'
import { test } from 'node:test'

test('passes', (t) => {
  console.log('said')
  t.diagnostic('noted')
})
test('is left out', { skip: 'no reason' }, () => {})
test('outer', async (t) => {
  await t.test('inner', () => assert.equal(1, 2))
})
