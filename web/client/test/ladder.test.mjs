// Which way leads to the server, through proxies of the unhelpful kinds.
//
// Only in make test-all: it needs half a minute of patience with bad proxies.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { memoryStore } from '../dist/index.js'
import { api, client, closeAll, cutter, hung, kept, startServer, token, until, within } from './lib/client.mjs'
import { startProxy } from './lib/proxy.mjs'

let server, bearer, call

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  bearer = token()
  call = api(server, bearer)
})
afterEach(closeAll)
after(() => server?.close())

let topics = 0

/** works holds a client to what a channel is for: what others publish comes, and what is pushed is published. */
async function works(duckwire) {
  const topic = `ladder:${topics++}`
  const channel = duckwire.channel(topic)
  const heard = []
  channel.on('note', ({ n }) => heard.push(n))
  await within(hung, 'the join', channel.join())
  await call('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'note', payload: { n: 1 } }] })
  await until('the event', () => heard.length === 1)
  await channel.push('note', { n: 2 })
  await until('the echo', () => heard.length === 2)
  assert.deepEqual(heard, [1, 2])
}

describe('the first rung that works', () => {
  for (const [what, how, rung] of [
    ['everything passes', {}, 'websocket'],
    ['no upgrade', { upgrades: 'refuse' }, 'sse'],
    ['upgrades hang', { upgrades: 'hang' }, 'sse'],
    ['upgrades are swallowed', { upgrades: 'swallow' }, 'sse'],
    ['no upgrade, a threshold', { upgrades: 'refuse', streams: 'threshold' }, 'padded'],
    ['no upgrade, a buffer', { upgrades: 'refuse', streams: 'buffer' }, 'longpoll'],
    ['no upgrade, streams are held', { upgrades: 'refuse', streams: 'hold' }, 'longpoll'],
    ['no upgrade, streams in clumps', { upgrades: 'refuse', streams: 'clump' }, 'longpoll'],
  ]) {
    test(`${what}: ${rung}`, async () => {
      const proxy = await kept(startProxy(server.url, how))
      const duckwire = client(proxy.url, { token: bearer, patience: { websocket: 1500 } })
      duckwire.connect()
      await until(rung, () => duckwire.transport === rung)
      await works(duckwire)
      assert.equal(duckwire.transport, rung)
    })
  }
})

test('what is bad is remembered, for this server and network only', async () => {
  const store = memoryStore()
  const proxy = await kept(startProxy(server.url, { upgrades: 'refuse', streams: 'hold' }))
  const first = client(proxy.url, { token: bearer, store, retryAfter: 3600_000 })
  first.connect()
  await until('longpoll', () => first.transport === 'longpoll')
  const upgrades = () => proxy.seen.filter((line) => line.startsWith('UPGRADE')).length
  await until('a second look at what failed at once', () => upgrades() === 2)
  await until('all that is bad', async () => Object.keys(JSON.parse((await store.get(store.keys('duckwire:ways')[0] ?? '')) ?? '{}')).length === 3)
  await first.close()
  const [before, rungs] = [upgrades(), []]

  const second = client(proxy.url, { token: bearer, store, retryAfter: 3600_000 })
  second.onTransport((rung) => rungs.push(rung))
  await works(second)
  assert.deepEqual([rungs, upgrades() - before], [['longpoll'], 0])

  proxy.upgrades = 'pass'
  const elsewhere = client(proxy.url, { token: bearer, store, network: () => 'home' })
  await works(elsewhere)
  assert.equal(elsewhere.transport, 'websocket')
})

test('a better rung is found in the background, and taken without a loss', async () => {
  const proxy = await kept(startProxy(server.url, { upgrades: 'refuse' }))
  const duckwire = client(proxy.url, { token: bearer, retryAfter: 100 })
  const topic = 'ladder:climb'
  const channel = duckwire.channel(topic)
  const heard = []
  const answers = []
  channel.on('note', ({ n }) => heard.push(n))
  channel.onJoin(({ recovered }) => answers.push(recovered))
  await channel.join()
  assert.equal(duckwire.transport, 'sse')

  let published = 0
  proxy.upgrades = 'pass'
  await until('websocket', async () => {
    await call('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'note', payload: { n: published++ } }] })
    return duckwire.transport === 'websocket'
  })
  await until('all events', () => heard.length >= published)
  assert.deepEqual(heard, Array.from({ length: published }, (_, n) => n))
  await until('the second join', () => answers.length === 2)
  assert.deepEqual(answers, [true, true])
})

test('held streams are found to pass again', async () => {
  const proxy = await kept(startProxy(server.url, { upgrades: 'refuse', streams: 'hold' }))
  const duckwire = client(proxy.url, { token: bearer, retryAfter: 300, patience: { sse: 1000, padded: 1000 } })
  await works(duckwire)
  assert.equal(duckwire.transport, 'longpoll')
  proxy.streams = 'pass'
  await until('sse', () => duckwire.transport === 'sse')
  await works(duckwire)
})

test('a server that is down says nothing of the way to it', async () => {
  const proxy = await kept(startProxy(server.url))
  const store = memoryStore()
  const duckwire = client(proxy.url, { token: bearer, store })
  await works(duckwire)
  proxy.down = true
  proxy.cut()
  const failures = []
  duckwire.socket.onError((error) => failures.push(error))
  await until('some tries', () => failures.length > 5)
  proxy.down = false
  await works(duckwire)
  await until('websocket', () => duckwire.transport === 'websocket') // at first it may be another: the server came back in the middle of a climb
  await until('nothing to be remembered', () => store.keys('duckwire:ways').length === 0)
})

test('who is refused is refused on every rung, and asks for another token', async () => {
  const tokens = ['nonsense', 'nonsense', bearer]
  const asked = []
  const store = memoryStore()
  const duckwire = client(server.url, {
    store,
    token: () => {
      asked.push(tokens[0])
      return tokens.length > 1 ? tokens.shift() : tokens[0]
    },
  })
  await works(duckwire)
  assert.deepEqual(asked, ['nonsense', 'nonsense', bearer])
  assert.deepEqual([duckwire.transport, store.keys('duckwire:ways')], ['websocket', []])
})

test('a duration limit is found, and event streams end before it', async () => {
  const proxy = await kept(cutter(server.url, Infinity, { upgrades: false }))
  const duckwire = client(proxy.url, { token: bearer, transports: ['sse'] })
  const channel = duckwire.channel('ladder:duration')
  let joins = 0
  channel.onJoin(() => joins++)
  await channel.join()
  const streams = () => proxy.requests().filter((head) => head.startsWith('GET /socket/sse'))
  // The hop cuts each answer at an age of 2.5 s, or of a little more where the machine is slow.
  let cutting = true
  const hop = (async () => {
    for (let seen = 0; cutting; ) {
      await until('an answer', () => streams().length > seen || !cutting)
      seen = streams().length
      if (/[?&]max=\d\b/.test(streams().at(-1))) return
      await new Promise((resolve) => setTimeout(resolve, 2500))
      proxy.cut()
    }
  })()
  try {
    await until('a request for less', () => /[?&]max=\d\b/.test(streams().at(-1)))
    assert.equal(joins, 1)
  } finally {
    cutting = false
    await hop
  }
})
