// Everyday use of a plain topic with four generations of the official client, on every transport that they support.
//
// Only in make test-all: it needs half a minute for three older generations of phoenix.

import '../lib/xhr.mjs' // before the clients: the older ones look for it once, and poll with nothing else
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import * as latest from 'phoenix'
import phoenix15 from 'phoenix-1.5'
import * as phoenix16 from 'phoenix-1.6'
import * as phoenix17 from 'phoenix-1.7'
import WebSocket from 'ws'
import { cutter } from '../lib/cutter.mjs'
import { answered, collect, connect, disconnect, join, store } from '../lib/phoenix.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { SSETransport } from '../lib/ssetransport.mjs'
import { until } from '../lib/wait.mjs'

let server, bearer, call
const open = []

before(async () => {
  server = await startServer({ DUCKWIRE_ALLOWED_ORIGINS: 'http://localhost' }) // what xhr.mjs says it is
  bearer = token()
  call = api(server, bearer)
})
afterEach(() => Promise.all(open.splice(0).map((o) => (o.close ? o.close() : disconnect(o)))))
after(() => server?.close())

const versions = { 1.5: phoenix15, 1.6: phoenix16, 1.7: phoenix17, 1.8: latest }

for (const [version, { Socket, LongPoll }] of Object.entries(versions)) {
  for (const [name, transport] of Object.entries({ WebSocket, LongPoll, SSE: SSETransport })) {
    describe(`phoenix ${version}, ${name}`, () => {
      const ordered = name !== 'LongPoll' || version >= '1.7' // the older ones have many POSTs under way at one time
      const slug = `${version}:${name}`
      const dial = (url, options) => {
        const socket = connect(url, bearer, { Client: Socket, transport, ...options })
        open.push(socket)
        return socket
      }

      test('events reach everybody, the sender included, in order', async () => {
        const [ada, bob] = await Promise.all([1, 2].map(() => join(dial(server.url), `plain:${slug}`)))
        const [atAda, atBob] = [collect(ada, 'note'), collect(bob, 'note')]
        const sent = []
        for (let n = 0; n < 150; n++) sent.push({ n, text: 'ä\u2028日\n🦆' }) // more than some of them put into one POST
        const replies = await Promise.all(sent.map((payload) => answered(ada.push('note', payload))))
        assert.equal(new Set(replies.map((r) => r.position)).size, sent.length)
        await until('all events', () => atAda.length >= sent.length && atBob.length >= sent.length)
        const order = atAda.map(({ n }) => n)
        if (ordered) assert.deepEqual(order, sent.map(({ n }) => n))
        assert.deepEqual(atBob.map(({ n }) => n), order)
        assert.deepEqual(atAda.toSorted((a, b) => a.n - b.n), sent)
      })

      test('events of other doors come, and what is pushed goes to them', async () => {
        const topic = `doors:${slug}`
        const channel = await join(dial(server.url), topic)
        const notes = collect(channel, 'note')
        await call('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'note', payload: { n: 1 } }] })
        await until('the event', () => notes.length > 0)
        assert.deepEqual(notes, [{ n: 1 }])
        await answered(channel.push('note', { n: 2 }))
        const { events } = await call('GET', `/v1/topics/${topic}/events`)
        assert.deepEqual(events.map((e) => e.payload.n), [1, 2])
      })

      test('a topic that the token does not allow is refused, and left in peace', async () => {
        const socket = dial(server.url, { params: { token: token('eve', ['open:*=*']) } })
        const refused = socket.channel(`closed:${slug}`)
        await assert.rejects(answered(refused.join()), (e) => e.response.reason === 'forbidden')
        refused.leave()
        await join(socket, `open:${slug}`)
      })

      test('a message that is refused harms neither the socket nor its channels', async () => {
        const socket = dial(server.url)
        let closes = 0
        socket.onClose(() => closes++)
        const channel = await join(socket, `code:project:${slug}`, {})
        const other = await join(socket, `plain:bad:${slug}`)
        const notes = collect(other, 'note')
        const push = (to, event, payload) => answered(to.push(event, payload, 120_000))
        const refusal = async (to, event, payload) => {
          const error = await push(to, event, payload).then(() => assert.fail(`${event} was taken`), (e) => e)
          return error.response
        }
        await push(other, 'note', { text: '🦆'.slice(0, 1) })
        assert.equal((await refusal(other, 'note', { text: 'x'.repeat(3 << 20) })).reason, 'too_large')
        assert.match((await refusal(channel, 'request_completon', { code: 'x' })).detail, /request_completion/)
        assert.equal((await refusal(channel, 'completion_chunk', { chunk: 'x' })).field, 'event')
        assert.equal((await refusal(other, 'note\ud83d', {})).field, 'event')
        await push(other, 'note', { n: 2 })
        await until('both notes', () => notes.length >= 2)
        assert.deepEqual(notes, [{ text: '\ufffd' }, { n: 2 }])
        assert.equal(closes, 0)
      })

      test('after a cut the client is back', async () => {
        const proxy = await cutter(server.url, Infinity)
        open.push(proxy)
        const socket = dial(proxy.url)
        const channel = socket.channel(`cut:${slug}`)
        const notes = collect(channel, 'note')
        await answered(channel.join())
        proxy.cut()
        // A client without positions may miss events while it is disconnected: so ask until it receives some again.
        await until('an event after the cut', async () => {
          await call('POST', `/v1/topics/cut:${slug}/events`, { events: [{ event: 'note' }] })
          return notes.length > 0
        })
        await answered(channel.push('note', {}))
      })

      // Version 1.6 added bytes. Only a WebSocket has frames for them; LongPoll can send them since 1.7.
      if (version >= (name === 'WebSocket' ? '1.6' : '1.7')) {
        test('bytes', async () => {
          const channel = await join(dial(server.url), `bytes:${slug}`)
          const seen = collect(channel, 'blob')
          const bytes = new Uint8Array(300).map((_, i) => i)
          await answered(channel.push('blob', bytes.buffer))
          await until('the bytes', () => seen.length > 0)
          const got = name === 'WebSocket' ? Buffer.from(seen[0]) : Buffer.from(seen[0].bytes, 'base64')
          assert.deepEqual(got, Buffer.from(bytes))
        })
      }

      // Version 1.8 added authToken, which is in the list of subprotocols on a WebSocket, and in a header elsewhere.
      if (version >= '1.8') {
        test('authToken', async () => {
          await join(dial(server.url, { params: {}, authToken: bearer }), `auth:${slug}`)
        })
      }
    })
  }
}

test('a WebSocket that never opens is given up for LongPoll, for as long as the tab lives', async () => {
  class Hanging {
    readyState = 0
    close() {
      this.readyState = 3
    }
  }
  const sessionStorage = store()
  const socket = connect(server.url, bearer, { transport: Hanging, longPollFallbackMs: 100, sessionStorage })
  open.push(socket)
  await join(socket, 'fallback')
  assert.equal(socket.transport, latest.LongPoll)
  assert.deepEqual([...sessionStorage.items], [['phx:fallback:LongPoll', 'true']])
})
