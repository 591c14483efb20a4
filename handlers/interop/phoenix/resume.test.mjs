// A topic over connections that are cut at any byte, repeatedly: no event is lost, repeated or out of order, and what
// the client pushes is published once.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cutter } from '../lib/cutter.mjs'
import { connect, disconnect, follow, transports } from '../lib/phoenix.mjs'
import { quick } from '../lib/quick.mjs'
import { random, seed } from '../lib/random.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

const CUTS = quick ? 30 : 300
const AHEAD = 20 // events that the publisher may be ahead of the reader: a poll's answer comes whole or not at all

let server, bearer, call

before(async () => {
  server = await startServer({
    DUCKWIRE_CONNECTIONS_PER_USER: '100000', // sessions of lost polls stay for a while
    DUCKWIRE_HISTORY_EVENTS: '100000', // an id is known for as long as its event is
  })
  bearer = token()
  call = api(server, bearer)
})
after(() => server?.close())

for (const [name, transport] of Object.entries(transports)) {
  test(`${name}: ${CUTS} cuts`, async (t) => {
    t.diagnostic(`SEED=${seed}`)
    const pick = random()
    const topic = `cuts:${name}`
    let healed = false
    // Some connections are cut in their handshake, most after a few events, and a few later.
    const proxy = await cutter(server.url, () => (healed ? Infinity : 1 + pick(pick(10) === 0 ? 20_000 : 2500)))
    const socket = connect(proxy.url, bearer, { transport })
    try {
      const heard = []
      const echoes = []
      const pending = new Map() // id → what was pushed, and has no answer yet
      const channel = follow(socket, topic, {
        onJoin({ recovered }) {
          assert.equal(recovered, true)
          for (const id of pending.keys()) push(id) // an answer may have been lost, or the push: the id makes that one and the same
        },
      })
      channel.on('news', ({ n }) => heard.push(n))
      channel.on('echo', ({ id }) => echoes.push(id))
      function push(id) {
        channel.push('echo', { id, text: pending.get(id), _duckwire: { id } }).receive('ok', () => pending.delete(id))
      }
      await until('the first join', () => channel.state === 'joined')

      let published = 0
      let pushed = 0
      while (proxy.cuts() < CUTS) {
        const events = Array.from({ length: 1 + pick(8) }, () => ({
          event: 'news', payload: { n: published++, text: 'Ünï¢ødé 🦆 "\\\n'.repeat(pick(6)) },
        }))
        await call('POST', `/v1/topics/${topic}/events`, { events })
        if (pending.size < 20 && pick(4) === 0) {
          const id = `push-${pushed++}`
          pending.set(id, 'x'.repeat(pick(200)))
          push(id)
        }
        await until('the reader to come near', () => heard.length > published - AHEAD)
      }
      healed = true
      proxy.cut()
      await until('every event', () => heard.length >= published && pending.size === 0 && echoes.length >= pushed)

      assert.deepEqual(heard, Array.from({ length: published }, (_, n) => n))
      assert.deepEqual(echoes.toSorted(), Array.from({ length: pushed }, (_, n) => `push-${n}`).toSorted())
      t.diagnostic(`${published} events, ${pushed} pushes, ${proxy.cuts()} cuts`)
    } finally {
      await disconnect(socket)
      proxy.close()
    }
  })
}

test('SSE comes back to its session: a cut costs no join', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const pick = random()
  const topic = 'cuts:session'
  let sharp = false
  const proxy = await cutter(server.url, () => (sharp ? 1 + pick(1500) : Infinity))
  const socket = connect(proxy.url, bearer, { transport: transports.SSE })
  try {
    const channel = socket.channel(topic) // without positions: all is the transport's doing
    const heard = []
    let joins = 0
    channel.on('news', ({ n }) => heard.push(n))
    channel.join().receive('ok', () => joins++)
    await until('the join', () => joins === 1)
    sharp = true
    proxy.cut()
    let published = 0
    while (proxy.cuts() < 100) {
      const events = Array.from({ length: 1 + pick(8) }, () => ({ event: 'news', payload: { n: published++ } }))
      await call('POST', `/v1/topics/${topic}/events`, { events })
      await until('the reader to come near', () => heard.length > published - AHEAD)
    }
    await until('every event', () => heard.length >= published)
    assert.deepEqual(heard, Array.from({ length: published }, (_, n) => n))
    assert.equal(joins, 1)
  } finally {
    await disconnect(socket)
    proxy.close()
  }
})

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`a restart by ${signal} is told, and then all goes on`, async () => {
    const server = await startServer()
    const sockets = []
    try {
      const readers = Object.entries(transports).map(([name, transport]) => {
        const socket = connect(server.url, bearer, { transport })
        sockets.push(socket)
        const reader = { name, heard: [], answers: [] }
        const channel = follow(socket, 'restart', { onJoin: (answer) => reader.answers.push(answer) })
        channel.on('news', ({ n }) => reader.heard.push(n))
        return reader
      })
      const publish = (n) => api(server, bearer)('POST', '/v1/topics/restart/events', { events: [{ event: 'news', payload: { n } }] })
      await until('all joins', () => readers.every(({ answers }) => answers.length === 1))
      await publish(1)
      await until('the first event', () => readers.every(({ heard }) => heard.length === 1))
      await server.restart(signal)
      // Topics are in memory: the previous log is gone, and its positions are invalid.
      await until('all joins', () => readers.every(({ answers }) => answers.length === 2))
      for (const { name, answers } of readers) {
        assert.deepEqual(answers.map(({ recovered, reset }) => [recovered, reset]), [[true, undefined], [false, 'epoch']], name)
      }
      await publish(2)
      await until('the second event', () => readers.every(({ heard }) => heard.length === 2))
      for (const { name, heard } of readers) assert.deepEqual(heard, [1, 2], name)
    } finally {
      await Promise.all(sockets.map(disconnect))
      await server.close()
    }
  })
}
