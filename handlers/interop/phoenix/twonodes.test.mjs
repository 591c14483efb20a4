// Supabase's client and y-phoenix-channel on two nodes with one Redis.
//
// Only in make test-all: it needs redis-server.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RealtimeClient } from '@supabase/realtime-js'
import WebSocket from 'ws'
import { PhoenixChannelProvider } from 'y-phoenix-channel'
import * as Y from 'yjs'
import { connect, disconnect } from '../lib/phoenix.mjs'
import { startRedis } from '../lib/redis.mjs'
import { startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let redis, nodes

before(async () => {
  redis = await startRedis()
  nodes = await Promise.all([1, 2].map(() => startServer({ DUCKWIRE_REDIS_URL: redis.url, DUCKWIRE_HISTORY_EVENTS: '60' })))
})
after(async () => {
  await Promise.all((nodes ?? []).map((n) => n.close()))
  await redis?.close()
})

test("Supabase's broadcasts and presence", async () => {
  const seats = await Promise.all(nodes.map(async ({ url }, n) => {
    const client = new RealtimeClient(`${url.replace(/^http/, 'ws')}/socket`, { params: { apikey: token(`u${n}`) }, transport: WebSocket })
    const channel = client.channel('room', { config: { presence: { key: `k${n}` } } })
    const heard = []
    channel.on('broadcast', { event: '*' }, (m) => heard.push(m)).on('presence', { event: 'sync' }, () => {})
    await new Promise((resolve) => channel.subscribe(resolve))
    return { client, channel, heard }
  }))
  for (const { channel } of seats) assert.equal(await channel.track({}), 'ok')
  for (const { channel } of seats) await until('both', () => Object.keys(channel.presenceState()).length === 2)
  await seats[0].channel.send({ type: 'broadcast', event: 'raw', payload: new Uint8Array([1, 2]).buffer })
  await seats[0].channel.send({ type: 'broadcast', event: 'mark', payload: { n: 1 } })
  await until('both', () => seats[1].heard.length === 2)
  assert.deepEqual([...new Uint8Array(seats[1].heard[0].payload)], [1, 2])
  assert.equal(seats[0].heard.length, 0)
  await Promise.all(seats.map(({ client }) => client.disconnect()))
})

test('a document, far beyond the history', async () => {
  function copy(node, user) {
    const socket = connect(node.url, token(user))
    const doc = new Y.Doc()
    const provider = new PhoenixChannelProvider(socket, 'yjs:notes', doc, { disableBc: true })
    return { socket, provider, doc, text: doc.getText('t'), names: () => [...provider.awareness.getStates().values()].map((s) => s.name) }
  }
  const [ada, bob] = nodes.map((node, n) => copy(node, `u${n}`))
  await until('synced', () => ada.provider.synced && bob.provider.synced)
  for (let n = 0; n < 300; n++) {
    (n % 2 ? ada : bob).text.insert(0, `${n};`)
    if (n % 20 === 0) await until('the same', () => ada.text.toString() === bob.text.toString())
  }
  ada.provider.awareness.setLocalState({ name: 'ada' })
  await until('the cursor', () => bob.names().includes('ada'))
  await until('the same', () => ada.text.toString() === bob.text.toString())
  const late = copy(nodes[1], 'late')
  await until('synced', () => late.provider.synced)
  assert.equal(late.text.toString(), ada.text.toString())
  await until('the cursor', () => late.names().includes('ada'))
  for (const c of [ada, bob, late]) {
    c.provider.destroy()
    await disconnect(c.socket)
  }
})
