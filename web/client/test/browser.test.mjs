// The package in a real browser: on pages, in a worker, over reloads, and in more tabs than there are connections.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { launch, servePage } from '../../../handlers/interop/lib/browser.mjs'
import { api, closeAll, cutter, hung, kept, piece, startServer, startUpstream, token, until } from './lib/client.mjs'

const pieces = Array.from({ length: 60 }, (_, n) => `${n} Grüße 🦆\n`)
const script = {
  async *text() {
    for (const p of pieces) {
      yield piece(p)
      yield { wait: 10 }
    }
    yield piece('', 'stop')
    yield 'data: [DONE]\n\n'
  },
}

let site, upstream, server, browser, bearer, call
const context = []

before(async () => {
  site = await servePage(new URL('lib/page.mjs', import.meta.url).pathname)
  upstream = await startUpstream(script)
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_ALLOWED_ORIGINS: site.url, DUCKWIRE_CONNECTIONS_PER_USER: '1000' })
  bearer = token()
  call = api(server, bearer)
  browser = await launch()
})
afterEach(async () => {
  for (const c of context.splice(0)) await c.close()
  await closeAll()
})
after(async () => {
  await browser?.close()
  await server?.close()
  upstream?.close()
  site?.close()
})

/** newBrowser is a browser with nothing in its store. */
async function newBrowser() {
  const c = await browser.newContext()
  context.push(c)
  return c
}

/** open opens a page of a browser, and returns its functions. */
async function open(c, url, transports) {
  const tab = await c.newPage()
  tab.setDefaultTimeout(hung)
  const faults = []
  tab.on('pageerror', (error) => faults.push(String(error)))
  const page = { tab, faults }
  for (const name of ['join', 'push', 'pushLater', 'heard', 'transport', 'waiting', 'use', 'complete']) {
    page[name] = (...args) => tab.evaluate(([name, args]) => globalThis.page[name](...args), [name, args])
  }
  page.load = async () => {
    await tab.goto(site.url)
    await tab.waitForFunction(() => globalThis.page !== undefined)
    await tab.evaluate(([url, token, transports]) => globalThis.page.connect(url, token, transports), [url, bearer, transports])
  }
  await page.load()
  return page
}

test('a page: a channel, a completion, and each transport in turn', async () => {
  const page = await open(await newBrowser(), server.url)
  assert.equal(await page.join('web:page'), true)
  assert.equal(await page.transport(), 'websocket')
  let n = 0
  for (const transport of ['sse', 'padded', 'longpoll', 'websocket']) {
    await page.use([transport])
    await until(transport, async () => (await page.transport()) === transport)
    await page.push('web:page', n++)
    await until('the push', async () => (await page.heard('web:page')).length === n)
    assert.equal(await page.complete({ model: 'text', prompt: 'x' }), pieces.join(''))
  }
  assert.deepEqual(await page.heard('web:page'), [0, 1, 2, 3])
  assert.deepEqual(page.faults, [])
})

test('a worker does the same', async () => {
  const page = await open(await newBrowser(), server.url)
  const inWorker = (name, ...args) =>
    page.tab.evaluate(([name, args]) => {
      globalThis.worker ??= new Worker('page.js', { type: 'module' })
      return globalThis.work(globalThis.worker, name, args)
    }, [name, args])
  await inWorker('connect', server.url, bearer, ['sse'])
  assert.equal(await inWorker('join', 'web:worker'), true)
  assert.equal(await inWorker('push', 'web:worker', 7), true)
  await until('the push', async () => (await inWorker('heard', 'web:worker')).join() === '7')
  assert.equal(await inWorker('complete', { model: 'text', prompt: 'x' }), pieces.join(''))
})

test('what is pushed offline is sent after a reload, once', async () => {
  const proxy = await kept(cutter(server.url, () => limit))
  let limit = Infinity
  const page = await open(await newBrowser(), proxy.url)
  await page.join('web:offline')
  limit = 0
  proxy.cut()
  for (let n = 0; n < 5; n++) await page.pushLater('web:offline', n)
  await until('the pushes to wait', async () => (await page.waiting()) === 5)
  await page.load()
  await until('the pushes to be found again', async () => (await page.waiting()) === 5)
  limit = Infinity
  await page.join('web:offline')
  await until('the pushes', async () => (await page.heard('web:offline')).length >= 5 && (await page.waiting()) === 0)
  assert.deepEqual(await page.heard('web:offline'), [0, 1, 2, 3, 4])
})

test('eight tabs of one browser on event streams over HTTP/1.1: all of them hear, and speak', async () => {
  const c = await newBrowser()
  const tabs = []
  for (let n = 0; n < 8; n++) tabs.push(await open(c, server.url, ['sse']))
  await Promise.all(tabs.map((tab) => tab.join('web:tabs')))
  await Promise.all(tabs.map((tab, n) => tab.push('web:tabs', n)))
  await call('POST', '/v1/topics/web:tabs/events', { events: [{ event: 'note', payload: { n: 8 } }] })
  for (const tab of tabs) {
    await until('all notes', async () => (await tab.heard('web:tabs')).length === 9)
    assert.deepEqual((await tab.heard('web:tabs')).toSorted(), [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert.deepEqual(tab.faults, [])
  }
})
