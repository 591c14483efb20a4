// The console's operations in a real browser: what is running, and how to end it.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { launch } from '../lib/browser.mjs'
import { accessible, playground, startTapped, tap, user } from '../lib/console.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let upstream, server, browser
const open = []
const keep = (thing) => (open.push(thing), thing)

before(async () => {
  upstream = await startTapped()
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_UPSTREAM_MODEL: 'up-1' })
  browser = await launch()
})
afterEach(async () => {
  for (const o of open.splice(0).reverse()) await o.close()
})
after(async () => {
  await browser?.close()
  await server?.close()
  upstream?.close()
})

/** rows returns the cells of a table. */
const rows = (page, title) => page.getByRole('region', { name: title, exact: true }).locator('tbody tr').evaluateAll((all) => all.map((row) => [...row.cells].map((c) => c.textContent)))

test('an admin sees streams, topics, sessions and queues, and cancels', async () => {
  const ada = playground(await keep(await user(browser, 'ada')).open(server.url, '#/playground/code:file:ops.js'))
  await ada.ready()
  const t = tap(['one', ' two', ' three'])
  upstream.set(t)
  await ada.type('x')
  await ada.ask()
  t.let(2)
  await ada.ghostIs('one two')
  await api(server, token('app'))('POST', '/v1/users/eve/messages', { event: 'note', payload: 'hello' })

  const root = await keep(await user(browser, 'root')).open(server.url, '#/operations')
  await until('the stream', async () => (await rows(root, 'Streams')).some(([, , owner, state, made]) => owner === 'ada' && state === 'running' && made === '2'))
  await until('the topic', async () => (await rows(root, 'Topics')).some(([topic, readers, present]) => topic === 'code:file:ops.js' && readers === '1' && present === '1'))
  await until('the session', async () => (await rows(root, 'Sessions')).some(([who, n, by]) => who === 'ada' && n === '1' && by === 'WebSocket 1'))
  await until('the message', async () => (await rows(root, 'Queues')).some(([who, n]) => who === 'eve' && n === '1'))
  await accessible(root)

  await root.getByRole('button', { name: /^Cancel / }).click()
  await until('the upstream is let go', () => upstream.requests.at(-1).aborted)
  await until('the end', async () => (await rows(root, 'Streams')).some(([, , owner, state]) => owner === 'ada' && state === 'cancelled'))
  await until('ada knows', async () => (await ada.status()).includes('cancelled'))
})

test('whoever is no admin sees streams of their own, and no fault', async () => {
  const person = keep(await user(browser, 'bob'))
  const page = await person.context.newPage()
  await page.goto(`${server.url}/?token=${token('bob', ['code:*=*'])}#/operations`)
  await page.getByRole('heading', { name: 'Streams' }).waitFor()
  await page.waitForResponse((response) => response.url().endsWith('/v1/overview') && response.status() === 403)
  await page.waitForResponse((response) => response.url().includes('/v1/streams') && response.ok())
  assert.equal(await page.getByRole('heading', { name: 'Sessions' }).count(), 0)
  assert.equal(await page.getByRole('alert').count(), 0)
})
