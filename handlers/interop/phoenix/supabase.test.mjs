// Supabase's client with its defaults: binary broadcasts, `self`, `ack`, presence, replay, HTTP, tokens.
//
// Only in make test-all: it needs half a minute, and the lives of tokens.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { RealtimeClient } from '@supabase/realtime-js'
import { RealtimeClient as Older } from 'supabase-2.109'
import WebSocket from 'ws'
import { connect, join } from '../lib/phoenix.mjs'
import { cutter } from '../lib/cutter.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let server, bearer, call
const open = []

before(async () => {
  server = await startServer()
  bearer = token()
  call = api(server, bearer)
})
afterEach(() => Promise.all(open.splice(0).map((o) => (o.disconnect ? o.disconnect() : o.close()))))
after(() => server?.close())

/** client opens a client of a user. Its key is the user's token. */
function client(Client, { user = 'ada', key = token(user), url = server.url, ...options } = {}) {
  const c = new Client(`${url.replace(/^http/, 'ws')}/socket`, {
    params: { apikey: key }, transport: WebSocket, reconnectAfterMs: () => 5, ...options,
  })
  open.push(c)
  return c
}

/**
 * enter subscribes a client to a topic. heard has its broadcasts, presences the events of presence, statuses what
 * subscribe was told.
 */
async function enter(c, topic, config = {}, { presence = false } = {}) {
  const channel = c.channel(topic, { config })
  const seat = { client: c, channel, heard: [], presences: [], statuses: [], system: [] }
  channel.on('broadcast', { event: '*' }, (message) => seat.heard.push(message))
  channel.on('system', {}, (message) => seat.system.push(message))
  if (presence) {
    for (const event of ['sync', 'join', 'leave']) {
      channel.on('presence', { event }, (p) => seat.presences.push({ ...p, event }))
    }
  }
  if (config.listen) channel.on('postgres_changes', config.listen, () => {})
  channel.subscribe((status, error) => seat.statuses.push([status, error?.message]))
  await until('the answer to the join', () => seat.statuses.length > 0)
  return seat
}

const generations = {
  'realtime-js': [RealtimeClient, {}],
  'realtime-js 2.109': [Older, {}],
  'realtime-js with vsn 1.0.0': [RealtimeClient, { vsn: '1.0.0' }],
}

for (const [title, [Client, options]] of Object.entries(generations)) {
  const slug = title.replace(/\W/g, '-')
  const binary = options.vsn === undefined

  describe(title, () => {
    test('broadcasts go to the others, in order', async () => {
      const [ada, bob, eve] = await Promise.all(['ada', 'bob', 'eve'].map((user) => enter(client(Client, { user, ...options }), `b-${slug}`)))
      assert.deepEqual([ada, bob, eve].map((s) => s.statuses), Array(3).fill([['SUBSCRIBED', undefined]]))
      const sent = Array.from({ length: 20 }, (_, n) => ({ type: 'broadcast', event: n % 2 ? 'cursor' : 'say "it"', payload: { n, text: 'é日🦆' } }))
      for (const message of sent) assert.equal(await ada.channel.send(message), 'ok')
      await until('all', () => bob.heard.length >= sent.length && eve.heard.length >= sent.length)
      assert.deepEqual(bob.heard, sent)
      assert.deepEqual(eve.heard, sent)
      await bob.channel.send({ type: 'broadcast', event: 'back', payload: {} })
      await until('the answer', () => ada.heard.length > 0)
      assert.deepEqual(ada.heard.map((m) => m.event), ['back']) // and none of its own
    })

    test('self and ack', async () => {
      const ada = await enter(client(Client, options), `s-${slug}`, { broadcast: { self: true, ack: true } })
      assert.equal(await ada.channel.send({ type: 'broadcast', event: 'mark', payload: { n: 1 } }), 'ok')
      await until('its own', () => ada.heard.length > 0)
      assert.deepEqual(ada.heard, [{ type: 'broadcast', event: 'mark', payload: { n: 1 } }])
      const reader = await enter(client(Client, { user: 'bob', key: token('bob', ['realtime:*=subscribe']), ...options }), `s-${slug}`, { broadcast: { ack: true } })
      assert.equal(await reader.channel.send({ type: 'broadcast', event: 'mark', payload: {} }), 'error')
      assert.equal(await reader.channel.track({}), 'error')
    })

    test('presence: track, sync, join, leave, untrack', async () => {
      const [ada, bob] = await Promise.all(['ada', 'bob'].map((user) => {
        return enter(client(Client, { user, ...options }), `p-${slug}`, { presence: { key: `key-${user}` } }, { presence: true })
      }))
      assert.equal(await ada.channel.track({ mood: 'good', user: 'somebody' }), 'ok')
      await until('ada', () => bob.channel.presenceState()['key-ada'])
      const [{ presence_ref: ref, ...meta }] = bob.channel.presenceState()['key-ada']
      assert.ok(ref)
      assert.deepEqual(meta, { mood: 'good', user: 'somebody', _duckwire: { user: 'ada' } })
      await until('both see ada', () => ada.channel.presenceState()['key-ada'])
      await until('the events', () => ['sync', 'join'].every((event) => bob.presences.some((p) => p.event === event)))
      assert.equal(bob.presences.find((p) => p.event === 'join').key, 'key-ada')
      if (Client === Older) return // it does not find a meta again that was replaced
      await ada.channel.track({ mood: 'better' })
      await until('the new meta', () => bob.channel.presenceState()['key-ada']?.[0].mood === 'better')
      await bob.channel.track({ mood: 'new here' })
      const late = await enter(client(Client, { user: 'late', ...options }), `p-${slug}`, {}, { presence: true })
      await until('the state', () => Object.keys(late.channel.presenceState()).length === 2)
      assert.equal(await ada.channel.untrack(), 'ok')
      await until('ada has left', () => !bob.channel.presenceState()['key-ada'])
      assert.equal(bob.presences.findLast((p) => p.event === 'leave').leftPresences[0].mood, 'better')
      await bob.client.removeChannel(bob.channel)
      await until('bob has left', () => Object.keys(late.channel.presenceState()).length === 0)
    })

    test('without a key, each channel is a presence of its own', async () => {
      const seats = await Promise.all([1, 2].map(() => enter(client(Client, options), `k-${slug}`, {}, { presence: true })))
      for (const seat of seats) assert.equal(await seat.channel.track({ n: 1 }), 'ok')
      for (const seat of seats) await until('both', () => Object.keys(seat.channel.presenceState()).length === 2)
    })

    test('comes back after a cut', async () => {
      const proxy = await cutter(server.url, Infinity)
      open.push(proxy)
      const ada = await enter(client(Client, { url: proxy.url, ...options }), `c-${slug}`, {}, { presence: true })
      const bob = await enter(client(Client, { user: 'bob', ...options }), `c-${slug}`, {}, { presence: true })
      await ada.channel.track({ n: 1 })
      await until('ada', () => Object.keys(bob.channel.presenceState()).length === 1)
      proxy.cut()
      await until('ada is gone', () => Object.keys(bob.channel.presenceState()).length === 0)
      await until('subscribed again', () => ada.statuses.filter(([s]) => s === 'SUBSCRIBED').length === 2)
      await ada.channel.track({ n: 2 })
      await until('ada is back', () => Object.values(bob.channel.presenceState())[0]?.[0].n === 2)
      await bob.channel.send({ type: 'broadcast', event: 'hello', payload: {} })
      await until('hello', () => ada.heard.length > 0)
    })

    test('removeChannel leaves, and the topic can be joined again', async () => {
      const c = client(Client, options)
      const first = await enter(c, `r-${slug}`)
      const other = await enter(c, `o-${slug}`)
      assert.equal(await c.removeChannel(first.channel), 'ok')
      assert.equal(first.statuses.at(-1)[0], 'CLOSED')
      const again = await enter(c, `r-${slug}`)
      await call('POST', `/v1/topics/realtime:r-${slug}/events`, { events: [{ event: 'note', payload: { by: 'REST' } }] })
      await until('the note', () => again.heard.length > 0)
      assert.equal(first.heard.length + other.heard.length, 0)
      assert.deepEqual(await c.removeAllChannels(), ['ok', 'ok'])
    })

    test('HTTP: send without a channel, and httpSend', async () => {
      const bob = await enter(client(Client, { user: 'bob', ...options }), `h/${slug}`)
      const ada = client(Client, options).channel(`h/${slug}`)
      assert.equal(await ada.send({ type: 'broadcast', event: 'a/b', payload: { n: 1 } }), 'ok')
      assert.deepEqual(await ada.httpSend('c d', { n: 2 }), { success: true })
      assert.deepEqual(await ada.httpSend('raw', new Uint8Array([0, 255])), { success: true })
      await until('all', () => bob.heard.length >= 3)
      assert.deepEqual(bob.heard.slice(0, 2), [
        { type: 'broadcast', event: 'a/b', payload: { n: 1 } }, { type: 'broadcast', event: 'c d', payload: { n: 2 } },
      ])
      if (binary) assert.deepEqual(new Uint8Array(bob.heard[2].payload), new Uint8Array([0, 255]))
      else assert.equal(bob.heard[2].bytes, 'AP8=')
      const eve = client(Client, { key: token('eve', ['realtime:other=*']), ...options }).channel(`h/${slug}`)
      await assert.rejects(eve.httpSend('x', {}), /Forbidden/)
      assert.equal(await eve.send({ type: 'broadcast', event: 'x', payload: {} }), 'error')
    })

    test('replays what was sent before', async () => {
      const ada = await enter(client(Client, options), `y-${slug}`, { broadcast: { ack: true } })
      for (let n = 0; n < 5; n++) await ada.channel.send({ type: 'broadcast', event: 'e', payload: { n } })
      const late = await enter(client(Client, { user: 'late', ...options }), `y-${slug}`, {
        private: true, broadcast: { replay: { since: Date.now() - 3600_000, limit: 3 } },
      })
      await until('three', () => late.heard.length >= 3)
      await ada.channel.send({ type: 'broadcast', event: 'e', payload: { n: 5 } })
      await until('a new one', () => late.heard.length >= 4)
      assert.deepEqual(late.heard.map((m) => [m.payload.n, m.meta?.replayed]), [[2, true], [3, true], [4, true], [5, undefined]])
      assert.ok(late.heard[0].meta.id)
      const none = await enter(client(Client, options), `y-${slug}`, { private: true, broadcast: { replay: { since: Date.now() + 3600_000 } } })
      await ada.channel.send({ type: 'broadcast', event: 'e', payload: { n: 6 } })
      await until('only the new one', () => none.heard.length > 0)
      assert.deepEqual(none.heard.map((m) => m.payload.n), [6])
    })

    test('there are no database changes, and the channel works', async () => {
      const ada = await enter(client(Client, options), `d-${slug}`, { broadcast: { self: true }, listen: { event: '*', schema: 'public', table: 'todos' } })
      assert.deepEqual(ada.statuses, [['SUBSCRIBED', undefined]])
      await until('the word', () => ada.system.length > 0)
      assert.equal(ada.system[0].status, 'error')
      assert.match(ada.system[0].message, /no database/)
      await ada.channel.send({ type: 'broadcast', event: 'mark', payload: {} })
      await until('its own', () => ada.heard.length > 0)
    })

    test('a renewed token is told to nobody, and holds', async () => {
      const ada = await enter(client(Client, options), `t-${slug}`)
      const bob = await enter(client(Client, { user: 'bob', ...options }), `t-${slug}`)
      await ada.client.setAuth(token('ada', [`realtime:t-${slug}=subscribe`])) // may only listen from now on
      const refused = await until('a refusal', async () => {
        const push = ada.channel.channelAdapter.push('broadcast', { type: 'broadcast', event: 'late', payload: {} })
        return new Promise((resolve) => push.receive('error', resolve).receive('ok', () => resolve(null)).receive('timeout', () => resolve(null)))
      })
      assert.equal(refused.reason, 'forbidden')
      await bob.channel.send({ type: 'broadcast', event: 'mark', payload: {} })
      await until('the mark', () => ada.heard.length > 0)
      assert.ok(bob.heard.every((m) => m.event === 'late')) // before the token was renewed
    })

    test('is refused what its token does not allow', async () => {
      const eve = await enter(client(Client, { key: token('eve', ['realtime:open=*']), ...options }), 'closed')
      assert.equal(eve.statuses[0][0], 'CHANNEL_ERROR')
      assert.match(eve.statuses[0][1], /forbidden/)
      const open = await enter(eve.client, 'open')
      assert.equal(open.statuses[0][0], 'SUBSCRIBED')
    })

    test('the token of a join must be of the same user', async () => {
      const ada = client(Client, { ...options, accessToken: async () => token('ada') })
      await ada.setAuth()
      assert.equal((await enter(ada, `u-${slug}`)).statuses[0][0], 'SUBSCRIBED')
      const bob = client(Client, { ...options, accessToken: async () => token('bob') })
      await bob.setAuth()
      const refused = await enter(bob, `u-${slug}`)
      assert.equal(refused.statuses[0][0], 'CHANNEL_ERROR')
      assert.match(refused.statuses[0][1], /user/)
    })

    if (binary) {
      test('bytes', async () => {
        const [ada, bob] = await Promise.all([enter(client(Client, options), `n-${slug}`), enter(client(Client, options), `n-${slug}`)])
        const old = await enter(client(RealtimeClient, { vsn: '1.0.0' }), `n-${slug}`)
        const bytes = Uint8Array.from({ length: 1000 }, (_, n) => n)
        await ada.channel.send({ type: 'broadcast', event: 'raw', payload: bytes.buffer })
        await ada.channel.send({ type: 'broadcast', event: 'empty', payload: new ArrayBuffer(0) })
        await until('both', () => bob.heard.length >= 2 && old.heard.length >= 2)
        assert.deepEqual(new Uint8Array(bob.heard[0].payload), bytes)
        assert.deepEqual([bob.heard[0].event, bob.heard[1].event], ['raw', 'empty'])
        assert.equal(bob.heard[1].payload.byteLength, 0)
        assert.equal(old.heard[0].bytes, Buffer.from(bytes).toString('base64'))
      })
    }
  })
}

test('a client that waits for the database is refused', async () => {
  const ada = await enter(client(RealtimeClient), 'wait', { listen: { event: '*', schema: 'public' }, postgres_changes_options: { wait: true } })
  assert.deepEqual([ada.statuses[0][0], /no database/.test(ada.statuses[0][1])], ['CHANNEL_ERROR', true])
})

test("other clients of the topic: Phoenix's, and curl", async () => {
  const ada = await enter(client(RealtimeClient), 'mixed')
  const socket = connect(server.url, bearer)
  open.push(socket)
  const plain = await join(socket, 'realtime:mixed')
  const heard = []
  plain.on('broadcast', (payload) => heard.push(payload))
  await ada.channel.send({ type: 'broadcast', event: 'cursor', payload: { x: 1 } })
  await ada.channel.send({ type: 'broadcast', event: 'raw', payload: new Uint8Array([104, 105]).buffer })
  await until('both', () => heard.length === 2)
  assert.deepEqual(heard, [
    { type: 'broadcast', event: 'cursor', payload: { x: 1 } }, { type: 'broadcast', event: 'raw', bytes: 'aGk=' },
  ])
  plain.push('edit', { y: 2 })
  plain.push('drawn', new Uint8Array([1, 2]).buffer)
  await until('both', () => ada.heard.length === 2)
  assert.deepEqual(ada.heard[0], { type: 'broadcast', event: 'edit', payload: { y: 2 } })
  assert.deepEqual([ada.heard[1].event, ...new Uint8Array(ada.heard[1].payload)], ['drawn', 1, 2])
  const { events } = await call('GET', '/v1/topics/realtime:mixed/events')
  assert.deepEqual(events.map((e) => e.event), ['broadcast', 'broadcast', 'edit', 'drawn'])
})

test('the connection lives on behind the end of its first token', async () => {
  let connections = 0
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args)
      connections++
    }
  }
  const short = token('ada', ['*=*'], '5s')
  const ada = await enter(client(RealtimeClient, { key: short, transport: Counted }), 'life', { broadcast: { self: true } })
  const socket = connect(server.url, short)
  open.push(socket)
  let code
  socket.onClose((event) => (code ??= event.code))
  await ada.client.setAuth(token())
  await until('the end of who did not renew', () => code !== undefined)
  assert.equal(code, 4001)
  assert.equal(await ada.channel.send({ type: 'broadcast', event: 'mark', payload: {} }), 'ok')
  await until('the mark', () => ada.heard.length > 0)
  assert.equal(connections, 1)
})
