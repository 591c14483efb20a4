// Each rung on a bad network: slow, far away, losing packets, with black holes. Nothing is lost, doubled or out of order, in
// both directions, and the number of connections stays small.
//
// Only in make test-all: it needs minutes of patience with a bad network.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import WebSocket from 'ws'
import { Duckwire, memoryStore } from '../dist/index.js'
import { sleep } from '../../../handlers/interop/lib/wait.mjs'
import { api, closeAll, hung, kept, opened, piece, random, seed, startServer, startUpstream, token, until, within } from './lib/client.mjs'
import { startNetwork } from './lib/network.mjs'

const rungs = ['websocket', 'sse', 'padded', 'longpoll']
const pieces = Array.from({ length: 100 }, (_, n) => `  ${n}: "Grüße 🦆"\n`)
const text = pieces.join('')
const events = 60
const most = 40 // connections of one client; a few are needed, and a few more after each hole

let upstream, server, call

before(async () => {
  upstream = await startUpstream({
    async *text() {
      for (const p of pieces) {
        yield piece(p)
        yield { wait: 100 }
      }
      yield piece('', 'stop')
      yield 'data: [DONE]\n\n'
    },
  })
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  call = api(server, token())
})
after(async () => {
  await closeAll() // not after each: the tests run at the same time
  await server?.close()
  upstream?.close()
})

const numbers = (n) => Array.from({ length: n }, (_, i) => i)

const forgotten = 'connections that are forgotten'

/** holes are what happens to the network, while events flow. Each returns when it is over. */
const holes = {
  'no hole': () => {},
  'a hole of three seconds': async (network) => {
    network.hole()
    await sleep(3000)
    network.heal()
  },
  [forgotten]: (network) => network.forget(),
}

describe('a bad network', { concurrency: true }, () => {
  for (const [i, rung] of rungs.entries()) {
    for (const [j, [what, happen]] of Object.entries(holes).entries()) {
      test(`${rung}, ${what}`, async (t) => {
        t.diagnostic(`SEED=${seed}`)
        const user = `network-${i}-${j}`
        const topic = `network:${i}:${j}`
        const network = await kept(startNetwork(server.url, { pick: random(seed + 10 * i + j) }))
        // A heartbeat each three seconds finds a dead WebSocket sooner than one each 15 s.
        const duckwire = new Duckwire(network.url, {
          user, token: token(user), transports: [rung], webSocket: WebSocket, store: memoryStore(), socket: { heartbeatIntervalMs: 3000 },
        })
        opened.push(duckwire)
        const [heard, echoes, handled] = [[], [], []]
        const channel = duckwire.channel(topic, { after: '0' })
        const recovered = []
        channel.onJoin((answer) => recovered.push(answer.recovered))
        channel.on('news', ({ n }) => heard.push(n))
        channel.on('echo', ({ n }) => echoes.push(n))
        const queue = duckwire.queue(({ payload }) => void handled.push(payload.n))
        await within(hung, 'the join', channel.join())
        const completed = duckwire.complete({ model: 'text', prompt: 'def f():' }).text()

        const pushed = []
        let hole
        for (const n of numbers(events)) {
          await call('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'news', payload: { n, text: 'ä'.repeat(200) } }] })
          if (n % 3 === 0) await call('POST', `/v1/users/${user}/messages`, { event: 'note', payload: { n: n / 3 } })
          if (n % 3 === 1) pushed.push(channel.push('echo', { n: (n - 1) / 3 }))
          if (n === 20) hole = happen(network)
          await sleep(100)
        }
        await hole
        await within(hung, 'the pushes', Promise.all(pushed))
        await until('everything', () => heard.length >= events && echoes.length >= pushed.length && handled.length >= events / 3)
        assert.equal(await within(hung, 'the completion', completed), text)
        assert.deepEqual(heard, numbers(events))
        assert.deepEqual(echoes, numbers(pushed.length))
        assert.deepEqual(handled, numbers(events / 3))
        assert.ok(recovered.every(Boolean))
        await within(hung, 'the last acknowledgement', queue.close())
        const { messages } = await api(server, token(user))('GET', '/v1/users/me/messages')
        assert.deepEqual(messages, [])
        t.diagnostic(`${network.opened()} connections`)
        assert.ok(network.opened() <= most, `${network.opened()} connections`)
      })
    }
  }
})
