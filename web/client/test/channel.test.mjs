// Channels that are cut at any byte: nothing is lost, nothing comes twice or out of order, and what is pushed is published once.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { LongPoll, Socket } from 'phoenix'
import WebSocket from 'ws'
import { Channel, DuckwireError, memoryStore, SSETransport } from '../dist/index.js'
import { api, client, closeAll, cutter, kept, opened, random, seed, startServer, token, until } from './lib/client.mjs'

const CUTS = 100
const AHEAD = 20 // events that the publisher may be ahead of the reader: a poll's answer comes whole or not at all

let server, bearer, call

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000', DUCKWIRE_HISTORY_EVENTS: '100000' })
  bearer = token()
  call = api(server, bearer)
})
afterEach(closeAll)
after(() => server?.close())

const count = (n) => Array.from({ length: n }, (_, i) => i)
const publish = (topic, events) => call('POST', `/v1/topics/${topic}/events`, { events })

for (const rung of ['websocket', 'sse', 'padded', 'longpoll']) {
  test(`${rung}: ${CUTS} cuts`, async (t) => {
    t.diagnostic(`SEED=${seed}`)
    const pick = random()
    const topic = `cuts:${rung}`
    let healed = false
    const room = rung === 'padded' ? 34_000 : 0 // some get no further than the padding
    const proxy = await kept(cutter(server.url, () => (healed ? Infinity : 1 + room + pick(pick(10) === 0 ? 20_000 : 2500))))
    const duckwire = client(proxy.url, { token: bearer, transports: [rung] })
    const channel = duckwire.channel(topic)
    const heard = []
    const echoes = []
    const answers = []
    channel.on('news', ({ n }) => heard.push(n))
    channel.on('echo', ({ n }) => echoes.push(n))
    channel.onJoin(({ recovered }) => answers.push(recovered))
    await channel.join()

    let published = 0
    const pushes = []
    while (proxy.cuts() < CUTS) {
      await publish(topic, Array.from({ length: 1 + pick(8) }, () => ({ event: 'news', payload: { n: published++, text: 'Ünï¢ødé 🦆 "\\\n'.repeat(pick(6)) } })))
      if (duckwire.outbox.size < 20 && pick(3) === 0) pushes.push(channel.push('echo', { n: pushes.length, text: 'x'.repeat(pick(200)) }))
      await until('the reader to come near', () => heard.length > published - AHEAD)
    }
    healed = true
    proxy.cut()
    const positions = (await Promise.all(pushes)).map(({ position }) => position)
    await until('every event', () => heard.length >= published && echoes.length >= pushes.length)
    assert.deepEqual(heard, count(published))
    assert.deepEqual(echoes, count(pushes.length), 'pushes come in order, each once')
    assert.equal(new Set(positions).size, pushes.length)
    assert.deepEqual(new Set(answers), new Set([true]))
    assert.equal(duckwire.outbox.size, 0)
    t.diagnostic(`${published} events, ${pushes.length} pushes, ${proxy.cuts()} cuts, ${answers.length} joins`)
  })
}

describe('a stock Socket', () => {
  for (const [name, transport] of Object.entries({ WebSocket, LongPoll, SSETransport })) {
    test(name, async () => {
      const proxy = await kept(cutter(server.url, Infinity))
      const socket = new Socket(`${proxy.url.replace('http', 'ws')}/socket`, {
        transport, params: { token: bearer }, reconnectAfterMs: () => 5, rejoinAfterMs: () => 20,
      })
      socket.connect()
      opened.push({ close: () => new Promise((resolve) => socket.disconnect(resolve)) })
      const topic = `stock:${name}`
      const channel = new Channel(socket, topic)
      const heard = []
      channel.on('news', ({ n }, { position }) => heard.push([n, position]))
      assert.equal((await channel.join()).recovered, true)
      const [{ position }] = (await publish(topic, [{ event: 'news', payload: { n: 1 } }])).events
      await until('the event', () => heard.length === 1)
      assert.deepEqual(heard, [[1, position]])
      assert.equal(channel.position, position)
      proxy.cut()
      await publish(topic, [{ event: 'news', payload: { n: 2 } }, { event: 'news', payload: { n: 3 } }])
      await until('what was missed', () => heard.length === 3)
      assert.deepEqual(heard.map(([n]) => n), [1, 2, 3])
      assert.equal(typeof (await channel.send('news', { n: 4 })).position, 'string')
    })
  }
})

test('what was lost is told', async () => {
  const small = await kept(startServer({ DUCKWIRE_HISTORY_EVENTS: '5' }))
  const duckwire = client(small.url, { token: bearer })
  const events = count(20).map((n) => ({ event: 'news', payload: { n } }))
  const { events: [{ position }] } = await api(small, bearer)('POST', '/v1/topics/trimmed/events', { events: events.slice(0, 1) })
  await api(small, bearer)('POST', '/v1/topics/trimmed/events', { events })
  const channel = duckwire.channel('trimmed', { after: position })
  const heard = []
  channel.on('news', ({ n }) => heard.push(n))
  const { recovered, reset } = await channel.join()
  assert.deepEqual([recovered, reset], [false, 'trimmed'])
  await until('what is kept', () => heard.at(-1) === 19)
})

test('another client goes on at a position', async () => {
  const first = client(server.url, { token: bearer }).channel('hand-over')
  await first.join()
  const one = new Promise((resolve) => first.on('news', ({ n }, { position }) => n === 1 && resolve(position)))
  await publish('hand-over', [{ event: 'news', payload: { n: 1 } }, { event: 'news', payload: { n: 2 } }])
  const at = await one
  const second = client(server.url, { token: bearer, transports: ['sse'] }).channel('hand-over', { after: at })
  const heard = []
  second.on('news', ({ n }) => heard.push(n))
  await second.join()
  await until('the second event', () => heard.length > 0)
  assert.deepEqual(heard, [2])
})

test('a join that is refused fails, and is not tried again', async () => {
  const duckwire = client(server.url, { token: token('bob', ['lobby=subscribe']) })
  const refused = duckwire.channel('secret')
  await assert.rejects(refused.join(), (error) => error instanceof DuckwireError && error.code === 'forbidden')
  assert.equal(refused.state, 'closed')
  for (const topic of ['code:project:42', 'analysis:project:42', 'conversation:6f9619ff-8b86-4011-b42d-00c04fc964ff']) {
    await assert.rejects(duckwire.channel(topic).join(), { code: 'forbidden' }, topic) // their reasons are RubberDuck's words
  }
  const lobby = duckwire.channel('lobby')
  await lobby.join()
  await assert.rejects(lobby.push('note', {}), { code: 'forbidden' })
  assert.equal(duckwire.outbox.size, 0)
})

describe('the outbox', () => {
  test('keeps pushes while there is no connection, and counts them', async () => {
    const proxy = await kept(cutter(server.url, Infinity))
    const duckwire = client(proxy.url, { token: bearer })
    const sizes = []
    duckwire.outbox.onChange((size) => sizes.push(size))
    const channel = duckwire.channel('outbox:offline')
    const echoes = []
    channel.on('echo', ({ n }) => echoes.push(n))
    await channel.join()
    await duckwire.close()
    const pushes = count(50).map((n) => channel.push('echo', { n }))
    assert.equal(duckwire.outbox.size, 50)
    duckwire.connect()
    await Promise.all(pushes)
    await until('the echoes', () => echoes.length === 50)
    assert.deepEqual(echoes, count(50))
    assert.deepEqual([Math.max(...sizes), sizes.at(-1)], [50, 0])
  })

  test('survives a reload: what one page has pushed, the next one sends, once', async () => {
    const store = memoryStore()
    const proxy = await kept(cutter(server.url, Infinity))
    const topic = 'outbox:reload'
    const watcher = client(server.url, { token: bearer }).channel(topic)
    const seen = []
    watcher.on('echo', ({ n }) => seen.push(n))
    await watcher.join()

    const before = client(proxy.url, { token: bearer, store })
    const first = before.channel(topic)
    await first.join()
    await first.push('echo', { n: 0 })
    await before.close()
    for (const n of [1, 2, 3]) void first.push('echo', { n }).catch(() => {})

    const after = client(proxy.url, { token: bearer, store })
    const second = after.channel(topic)
    const late = [second.push('echo', { n: 4 }), second.join()]
    await Promise.all(late)
    await until('all of them', () => seen.length === 5 && after.outbox.size === 0)
    assert.deepEqual(seen, [0, 1, 2, 3, 4])
    assert.deepEqual(store.keys('duckwire'), [])
  })

  test("another user's pushes stay where they are", async () => {
    const store = memoryStore()
    const ada = client(server.url, { token: bearer, store })
    void ada.outbox.push('outbox:users', 'echo', { n: 1 }).catch(() => {})
    const bob = client(server.url, { token: bearer, store, user: 'bob' })
    await bob.channel('outbox:users').join()
    assert.equal(bob.outbox.size, 0)
    assert.equal(store.keys('duckwire').length, 1)
  })

  test('has a limit', async () => {
    const { outbox } = client(server.url, { token: bearer, outbox: { limit: 2 } })
    const waiting = [outbox.push('a', 'echo', {}), outbox.push('b', 'echo', {})]
    for (const push of waiting) push.catch(() => {})
    await assert.rejects(outbox.push('c', 'echo', {}), { code: 'outbox_full', message: /limit is 2/ })
  })

  test('gives up what is too old, and says so', async () => {
    const duckwire = client(server.url, { token: bearer, outbox: { maxAge: -1 } })
    const drops = []
    duckwire.outbox.onDrop(({ event }, { code }) => drops.push([event, code]))
    const push = duckwire.outbox.push('outbox:old', 'echo', {})
    push.catch(() => {})
    await duckwire.channel('outbox:old').join()
    await assert.rejects(push, { code: 'expired' })
    assert.deepEqual(drops, [['echo', 'expired']])
  })
})
