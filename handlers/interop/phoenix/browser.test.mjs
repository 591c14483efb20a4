// The official client in a real browser, and a document that two pages edit together.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { launch, servePage } from '../lib/browser.mjs'
import { cutter } from '../lib/cutter.mjs'
import { transports } from '../lib/phoenix.mjs'
import { random, seed } from '../lib/random.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { hung, until } from '../lib/wait.mjs'

const EDITS = 150 // of each page, at least
const CUTS = 40

let site, server, browser, ada, bob
const open = []

before(async () => {
  site = await servePage(new URL('page.mjs', import.meta.url).pathname)
  server = await startServer({
    DUCKWIRE_ALLOWED_ORIGINS: site.url,
    DUCKWIRE_CONNECTIONS_PER_USER: '100000', // sessions of lost polls stay for a while
    DUCKWIRE_HISTORY_EVENTS: '100000', // the document is what the topic keeps
  })
  ada = token('ada')
  bob = token('bob')
  browser = await launch()
})
afterEach(async () => {
  for (const o of open.splice(0)) await o.close()
})
after(async () => {
  await browser?.close()
  await server?.close()
  site?.close()
})

/** newPage opens a page, and returns an object whose methods call the functions of page.mjs. */
async function newPage() {
  const tab = await browser.newPage()
  tab.setDefaultTimeout(hung)
  await tab.goto(site.url)
  await tab.waitForFunction(() => globalThis.page !== undefined)
  const call = (name) => (...args) => tab.evaluate(([name, args]) => globalThis.page[name](...args), [name, args])
  const page = Object.fromEntries((await tab.evaluate(() => Object.keys(globalThis.page))).map((name) => [name, call(name)]))
  open.push({
    async close() {
      assert.deepEqual(await page.errors(), [])
      await tab.close()
    },
  })
  return page
}

async function newCutter(limit, options) {
  const proxy = await cutter(server.url, limit, options)
  open.push(proxy)
  return proxy
}

for (const name of Object.keys(transports)) {
  describe(name, () => {
    test('pages talk, and see each other', async () => {
      const topic = `code:project:web-${name}`
      const [first, second] = [await newPage(), await newPage()]
      await first.enter(server.url, ada, name, topic)
      await second.enter(server.url, bob, name, topic)
      await until('both', async () => (await first.who()) === 'ada×1,bob×1' && (await second.who()) === 'ada×1,bob×1')

      const sent = Array.from({ length: 5 }, (_, n) => ({ n, text: 'é日\u2028🦆' }))
      for (const note of sent) await first.push('note', note)
      await api(server, ada)('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'note', payload: { by: 'REST' } }] })
      const all = [...sent, { by: 'REST' }]
      for (const page of [first, second]) {
        await until('all notes', async () => (await page.notes()).length >= all.length)
        assert.deepEqual(await page.notes(), all)
      }

      const bytes = [0, 1, 127, 128, 255]
      await first.pushBytes('blob', bytes)
      await until('the bytes', async () => (await second.blobs()).length > 0)
      assert.deepEqual(await second.blobs(), [name === 'WebSocket' ? bytes : { bytes: Buffer.from(bytes).toString('base64') }])

      await second.leave()
      // LongPoll and SSE do not close their sessions, which therefore end later.
      if (name === 'WebSocket') await until('the leave', async () => (await first.who()) === 'ada×1')
    })
  })
}

test('authToken goes where a browser lets it', async () => {
  for (const name of Object.keys(transports)) {
    const page = await newPage()
    await page.enter(server.url, '', name, 'code:project:auth', { params: {}, authToken: ada })
    await until('ada', async () => (await page.who()).startsWith('ada'))
  }
})

test('where no WebSocket comes through, the page polls', async () => {
  const proxy = await newCutter(Infinity, { upgrades: false })
  const page = await newPage()
  await page.enter(proxy.url, ada, 'WebSocket', 'code:project:fallback', { longPollFallbackMs: 2000 })
  assert.equal(await page.transport(), 'LongPoll')
})

for (const name of Object.keys(transports)) {
  test(`${name}: two pages edit one document while they are cut`, async (t) => {
    t.diagnostic(`SEED=${seed}`)
    const pick = random()
    const topic = `code:file:demo-${name}`
    let healed = false
    const editors = []
    for (const [user, bearer] of [['ada', ada], ['bob', bob]]) {
      // Long enough for the handshake: browsers delay it after one that failed.
      const proxy = await newCutter(() => (healed ? Infinity : 1500 + pick(4000)))
      const page = await newPage()
      await page.open(proxy.url, bearer, name, topic, `${user}-1`)
      editors.push({ user, proxy, page, edits: [] })
    }
    const cuts = () => editors.reduce((n, { proxy }) => n + proxy.cuts(), 0)

    await Promise.all(editors.map(async ({ user, page, edits }) => {
      while (edits.length < EDITS || cuts() < CUTS) edits.push(...(await page.edit(user, pick(2 ** 32), 10)))
    }))
    healed = true
    for (const { proxy } of editors) proxy.cut()

    const done = editors.flatMap(({ edits }) => edits)
    let docs
    await until('every edit on every page', async () => {
      docs = await Promise.all(editors.map(({ page }) => page.document()))
      return docs.every((doc) => doc.idle && doc.edits.length >= done.length)
    }).catch((error) => {
      const told = docs.map(({ text, edits, ...rest }) => ({ ...rest, edits: edits.length }))
      throw new Error(`${error.message}: ${done.length} edits were made; ${JSON.stringify(told)}`)
    })
    // A page that opens the document at the end receives the same content from the topic's history.
    const late = await newPage()
    await late.open(server.url, ada, 'WebSocket', topic, 'late')
    await until('the late page', async () => (await late.document()).edits.length >= done.length)

    const [a, b, c] = await Promise.all([...editors.map(({ page }) => page), late].map((page) => page.document()))
    assert.deepEqual(a.edits.toSorted(), done.toSorted())
    assert.deepEqual([b.edits, c.edits], [a.edits, a.edits])
    assert.deepEqual([b.text, c.text], [a.text, a.text])
    t.diagnostic(`${done.length} edits, ${cuts()} cuts, ${a.joins + b.joins} joins, ${a.text.length} characters`)
  })
}
