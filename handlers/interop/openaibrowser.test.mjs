// The official SDK in a real browser, on pages of other origins than the server's.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, servePage } from './lib/browser.mjs'
import { startServer, token } from './lib/server.mjs'
import { delta, startUpstream } from './lib/upstream.mjs'
import { hung } from './lib/wait.mjs'

const scripts = {
  async *plain() {
    for (const part of ['Grüße, ', '世界 ', '🦆']) yield delta({ content: part })
    yield delta({}, { finish: 'stop' })
    yield 'data: [DONE]\n\n'
  },
}

let upstream, site, browser, ada
const servers = []

before(async () => {
  upstream = await startUpstream(scripts)
  site = await servePage(new URL('lib/openaipage.mjs', import.meta.url).pathname)
  browser = await launch()
  ada = token('ada')
})
after(async () => {
  await browser?.close()
  for (const server of servers) await server.close()
  site?.close()
  upstream?.close()
})

/** serve starts a server that allows the origins. */
async function serve(origins) {
  const server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_ALLOWED_ORIGINS: origins })
  servers.push(server)
  return server.url
}

/** visit opens the site under a name, and returns an object whose methods call the functions of openaipage.mjs. */
async function visit(t, name = '127.0.0.1') {
  const tab = await browser.newPage()
  t.after(() => tab.close())
  tab.setDefaultTimeout(hung)
  await tab.goto(site.url.replace('127.0.0.1', name))
  await tab.waitForFunction(() => globalThis.page !== undefined)
  const call = (method) => (...args) => tab.evaluate(([method, args]) => globalThis.page[method](...args), [method, args])
  return { chat: call('chat'), models: call('models') }
}

async function works(page, url) {
  const answer = await page.chat(url, ada)
  assert.equal(answer.text, 'Grüße, 世界 🦆', JSON.stringify(answer))
  assert.ok(answer.id && answer.id === answer.header && answer.stream, JSON.stringify(answer))
  assert.deepEqual(await page.models(url, ada), ['up-1'])
}

async function isRefused(page, url) {
  for (const answer of [await page.chat(url, ada), await page.models(url, ada)]) {
    assert.equal(answer.error, 'APIConnectionError', JSON.stringify(answer)) // all that a page is told
  }
}

test('an allowed origin', async (t) => {
  const url = await serve(site.url)
  const page = await visit(t)
  await works(page, url)
  const answer = await page.chat(url, 'unused', { Authorization: null, 'api-key': ada })
  assert.equal(answer.text, 'Grüße, 世界 🦆', JSON.stringify(answer))
})

test('errors can be read, and name the path that is there', async (t) => {
  const url = await serve(site.url)
  const page = await visit(t)
  const refused = await page.models(url, 'nonsense')
  assert.deepEqual([refused.status, refused.error], [401, 'AuthenticationError'], JSON.stringify(refused))
  assert.ok(refused.id, JSON.stringify(refused))
  const lost = await page.chat(`${url}/v1`, ada)
  assert.deepEqual([lost.status, lost.error], [404, 'NotFoundError'], JSON.stringify(lost))
  assert.match(lost.message, /did you mean \/v1\/chat\/completions\?/)
})

test('an origin that is not allowed', async (t) => {
  const before = upstream.requests.length
  await isRefused(await visit(t), await serve('https://app.example.com'))
  assert.equal(upstream.requests.length, before)
})

test('a wildcard origin', async (t) => {
  const url = await serve('http://*.localhost:*')
  await works(await visit(t, 'app.localhost'), url)
  await works(await visit(t, 'a.b.localhost'), url)
  await isRefused(await visit(t), url)
})

test('any origin, which needs no cookies', async (t) => {
  await works(await visit(t), await serve('*'))
})
