// Supabase's client, as far as it uses the plain protocol. It differs in this:
//
// - With vsn 2.0.0, its default, it sends broadcasts in binary frames of its own kind (3). The server closes the socket
//   after such a frame, as Phoenix does. An application must set vsn to 1.0.0, or set `encode` to produce JSON, as the
//   official client does.
// - The options in `config` (self, ack, presence) are for Supabase's server. Here the sender always receives its own
//   broadcasts, and every push is answered. track() is an ordinary event: for presence, join a topic that has it.
// - It requires an `apikey`, which is ignored here: the token is a separate parameter.
// - All its topics begin with realtime:. The REST calls (httpSend) and database changes are Supabase's own.
//
// Only in make test-all: it needs the lives of tokens, in seconds.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { RealtimeClient } from '@supabase/realtime-js'
import WebSocket from 'ws'
import { connect, join } from '../lib/phoenix.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let server, bearer
const open = []

let connections = 0
class Counted extends WebSocket {
  constructor(...args) {
    super(...args)
    connections++
  }
}

before(async () => {
  server = await startServer()
  bearer = token()
})
afterEach(() => Promise.all(open.splice(0).map((client) => client.disconnect())))
after(() => server?.close())

const ways = {
  'vsn 1.0.0': { vsn: '1.0.0' },
  'vsn 2.0.0 with plain frames': {
    encode: ({ join_ref, ref, topic, event, payload }, callback) => callback(JSON.stringify([join_ref, ref, topic, event, payload])),
  },
}

for (const [title, options] of Object.entries(ways)) {
  describe(title, () => {
    const topic = `supabase-${options.vsn ?? 2}`

    async function enter(bearer, name = topic) {
      const client = new RealtimeClient(`${server.url.replace(/^http/, 'ws')}/socket`, {
        params: { apikey: 'none', token: bearer }, transport: Counted, ...options,
      })
      open.push(client)
      const channel = client.channel(name, { config: { broadcast: { ack: true } } })
      const heard = []
      channel.on('broadcast', { event: '*' }, ({ event, payload }) => heard.push([event, payload]))
      const status = await new Promise((resolve) => channel.subscribe(resolve))
      return { client, channel, heard, status }
    }

    test('broadcasts', async () => {
      const [ada, bob] = await Promise.all([enter(bearer), enter(bearer)])
      assert.deepEqual([ada.status, bob.status], ['SUBSCRIBED', 'SUBSCRIBED'])
      const sent = Array.from({ length: 20 }, (_, n) => ['cursor', { n, text: 'é日🦆' }])
      for (const [event, payload] of sent) assert.equal(await ada.channel.send({ type: 'broadcast', event, payload }), 'ok')
      await until('all at both', () => ada.heard.length >= sent.length && bob.heard.length >= sent.length)
      assert.deepEqual(ada.heard, sent)
      assert.deepEqual(bob.heard, sent)
      // Over REST:
      const event = { event: 'broadcast', payload: { type: 'broadcast', event: 'note', payload: { by: 'REST' } } }
      await api(server, bearer)('POST', `/v1/topics/realtime:${topic}/events`, { events: [event] })
      await until('the note', () => bob.heard.length > sent.length)
      assert.deepEqual(bob.heard.at(-1), ['note', { by: 'REST' }])
    })

    test('a renewed token is told to nobody', async () => {
      const ada = await enter(bearer)
      const socket = connect(server.url, bearer)
      open.push(socket)
      const heard = []
      socket.onMessage(({ event }) => heard.push(event))
      const bob = await join(socket, `realtime:${topic}`)
      await ada.client.setAuth(token()) // it tells its channels
      await ada.channel.send({ type: 'broadcast', event: 'mark', payload: {} })
      await until('the mark', () => heard.includes('broadcast'))
      assert.deepEqual(heard, ['phx_reply', 'broadcast'])
      bob.leave()
    })

    test('a renewed token is one: the connection lives on behind the end of the first', async () => {
      const short = token('ada', ['*=*'], '5s')
      const ada = await enter(short)
      const socket = connect(server.url, short)
      open.push(socket)
      let code
      socket.onClose((event) => (code ??= event.code))
      const before = connections
      await ada.client.setAuth(token())
      await until('the end of who did not renew', () => code !== undefined)
      assert.equal(code, 4001)
      assert.equal(await ada.channel.send({ type: 'broadcast', event: 'mark', payload: {} }), 'ok')
      await until('the mark', () => ada.heard.length > 0)
      assert.equal(connections, before)
    })

    test('is refused what its token does not allow', async () => {
      const eve = await enter(token('eve', ['realtime:open=*']), 'closed')
      assert.equal(eve.status, 'CHANNEL_ERROR')
    })
  })
}
