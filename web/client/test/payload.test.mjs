// Payloads on the real server: they arrive at others as they were given, are published once, and what the server refuses
// is refused once.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { Cursors } from '../dist/index.js'
import { api, client, closeAll, startServer, token, until } from './lib/client.mjs'

const rungs = ['websocket', 'sse', 'longpoll']

let server, bearer

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  bearer = token()
})
afterEach(closeAll)
after(() => server?.close())

/** pair joins a topic with two clients. heard has what the second one gets. */
async function pair(topic, rung) {
  const duckwire = client(server.url, { token: bearer, transports: [rung] })
  const channel = duckwire.channel(topic)
  const other = client(server.url, { token: bearer, transports: [rung] }).channel(topic)
  const heard = []
  other.on('say', (payload) => heard.push(payload))
  await Promise.all([channel.join(), other.join()])
  return { duckwire, channel, heard }
}

const payloads = [
  { id: 42 }, { id: 'lamp', on: true }, { id: 'lamp', on: false }, { id: 'src/main.go' }, { id: 'x'.repeat(300) }, { id: null },
  [1, 2, 3], [], 'text', '', 7, 0, true, false, null, {}, { deep: [{ a: null }] }, { _duckwire: 7 },
  { ephemeral: true, durable: true, to: ['nobody'], payload: 1 }, { event: 'x', topic: 'y' }, 'Grüße 🦆\u2028',
]

for (const rung of rungs) {
  describe(rung, () => {
    for (const how of ['push', 'send']) {
      test(`${how}: payloads arrive as they were given`, async () => {
        const { channel, heard } = await pair(`as-given:${how}:${rung}`, rung)
        for (const payload of payloads) await channel[how]('say', payload)
        await channel[how]('say')
        await until('all', () => heard.length > payloads.length)
        assert.deepEqual(heard, [...payloads, {}])
      })
    }

    test('an id of the application that is used again', async () => {
      const { channel, heard } = await pair(`ids:${rung}`, rung)
      const first = await channel.push('say', { n: 1 }, { id: 'one' })
      assert.deepEqual(await channel.push('say', { n: 1 }, { id: 'one' }), first)
      await assert.rejects(channel.push('say', { n: 2 }, { id: 'one' }), { code: 'conflict' })
      await channel.push('say', { n: 3 })
      await until('the last', () => heard.length > 1)
      assert.deepEqual(heard, [{ n: 1 }, { n: 3 }])
    })

    test('what is too large is refused once, and blocks nothing', async () => {
      const { duckwire, channel, heard } = await pair(`large:${rung}`, rung)
      let opens = 0
      duckwire.onTransport(() => opens++)
      const ends = await Promise.allSettled([
        channel.push('say', 1), channel.push('say', 'x'.repeat(1_500_000)), channel.push('say', 2),
        channel.push('say', 'x'.repeat(3 << 20)), channel.push('say', 3),
      ])
      assert.deepEqual(ends.map(({ reason }) => reason?.code), [undefined, 'too_large', undefined, 'too_large', undefined])
      await until('the others', () => heard.length >= 3)
      assert.deepEqual([heard, opens, duckwire.outbox.size], [[1, 2, 3], 0, 0])
    })

    test('half a character harms only itself', async () => {
      const { duckwire, channel, heard } = await pair(`half:${rung}`, rung)
      const ends = await Promise.allSettled([channel.push('say', 1), channel.push('say', '\ud83d'), channel.push('say', 2)])
      assert.deepEqual(ends.map(({ status }) => status).filter((_, n) => n !== 1), ['fulfilled', 'fulfilled'])
      await until('the others', () => heard.at(-1) === 2)
      assert.equal(duckwire.outbox.size, 0)
    })
  })
}

test('options: for users who are away, and for the newest only', async () => {
  const { channel } = await pair('options', 'websocket')
  await channel.push('say', { n: 1 }, { durable: true, to: ['zoe'] })
  await channel.push('say', 'text', { durable: true, to: ['zoe'] })
  const { messages } = await api(server, token('zoe'))('GET', '/v1/users/me/messages')
  assert.deepEqual(messages.map(({ payload }) => payload), [{ n: 1 }, 'text'])
  assert.equal((await channel.push('say', { n: 2 }, { ephemeral: true })).position, undefined)
})

test('cursors on a plain channel have no history', async () => {
  const topic = 'cursors:plain'
  const { channel } = await pair(topic, 'websocket')
  const late = client(server.url, { token: bearer }).channel(topic, { after: '0' })
  const moves = []
  new Cursors(late).onMove(({ line }) => moves.push(line))
  const cursors = new Cursors(channel)
  cursors.move({ line: 1 })
  await late.join()
  await until('the cursor', () => moves.length > 0 || (cursors.move({ line: 1 }), false))
  const { events } = await api(server, bearer)('GET', `/v1/topics/${topic}/events?after=0`)
  assert.deepEqual(events, [])
})
