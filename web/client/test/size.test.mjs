// How large the package is in an application: bundled, minified and packed, without phoenix.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const limit = 20_000 // bytes

test(`less than ${limit} bytes`, async (t) => {
  const { outputFiles } = await build({
    entryPoints: [new URL('../dist/index.js', import.meta.url).pathname],
    bundle: true, minify: true, format: 'esm', external: ['phoenix'], write: false,
  })
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length
  t.diagnostic(`${size} bytes of gzip`)
  assert.ok(size < limit && size > 1000, `${size} bytes`)
})
