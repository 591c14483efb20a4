// The official client's Presence on a channel with presence.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { Presence } from 'phoenix'
import { cutter } from '../lib/cutter.mjs'
import { answered, collect, connect, disconnect, join, transports } from '../lib/phoenix.mjs'
import { startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

const users = ['ada', 'bob']
const tokens = {}
let server
const open = []

before(async () => {
  server = await startServer({ DUCKWIRE_PRESENCE_GRACE: '60s' })
  for (const user of users) tokens[user] = token(user)
})
afterEach(() => Promise.all(open.splice(0).map((o) => (o.close ? o.close() : disconnect(o)))))
after(() => server?.close())

function dial(user, transport, url = server.url) {
  const socket = connect(url, tokens[user], { transport })
  open.push(socket)
  return socket
}

/** look joins a topic, and records the state of Presence as KEY×METAS, and the calls of its callbacks. */
async function look(socket, topic, params) {
  const channel = socket.channel(topic, params)
  const presence = new Presence(channel)
  const told = []
  // For a key: the number of metas before a join, and after a leave.
  presence.onJoin((key, current) => told.push(`+${key} to ${current?.metas.length ?? 0}`))
  presence.onLeave((key, current) => told.push(`-${key} leaves ${current.metas.length}`))
  await answered(channel.join())
  const who = () => presence.list((key, { metas }) => `${key}×${metas.length}`).sort().join()
  return { channel, presence, told, who, metas: (key) => presence.list().find((_, i) => presence.list((k) => k)[i] === key)?.metas ?? [] }
}

for (const [name, transport] of Object.entries(transports)) {
  describe(name, () => {
    test('two tabs of one user are one user, until both are gone', async () => {
      const topic = `code:project:tabs-${name}`
      const bob = await look(dial('bob', transport), topic)
      await until('bob sees himself', () => bob.who() === 'bob×1')
      const first = await look(dial('ada', transport), topic)
      const second = await look(dial('ada', transport), topic)
      await until('all see all', () => [bob, first, second].every((p) => p.who() === 'ada×2,bob×1'))

      bob.told.length = 0
      await answered(first.channel.push('activity', { state: 'typing' }))
      const typing = () => bob.metas('ada').filter((meta) => meta.state === 'typing')
      await until('the update', () => typing().length === 1)
      assert.equal(bob.who(), 'ada×2,bob×1')
      assert.ok(typing()[0].phx_ref_prev, 'an update names what it replaces')
      // An update is a join and a leave in one diff: the number of metas never decreases.
      assert.deepEqual(bob.told, ['+ada to 2', '-ada leaves 2'])

      bob.told.length = 0
      first.channel.leave()
      await until('one tab', () => bob.who() === 'ada×1,bob×1')
      second.channel.leave()
      await until('no tab', () => bob.who() === 'bob×1')
      assert.deepEqual(bob.told, ['-ada leaves 1', '-ada leaves 0'])
    })

    test('who is cut and comes back was never away', async () => {
      const topic = `code:project:blip-${name}`
      const proxy = await cutter(server.url, Infinity)
      open.push(proxy)
      const bob = await look(dial('bob', transport), topic)
      const ada = await look(dial('ada', transport, proxy.url), topic, { client_id: `ada-1-${name}`, after: 'now' })
      await until('both see both', () => [bob, ada].every((p) => p.who() === 'ada×1,bob×1'))
      const [{ phx_ref: ref }] = bob.metas('ada')
      bob.told.length = 0
      const marks = collect(bob.channel, 'mark')
      for (let blip = 1; blip <= 3; blip++) {
        proxy.cut()
        // A push is lost if it is sent before the cut is detected, so push until it arrives.
        await until('the mark', async () => {
          await answered(ada.channel.push('mark', { blip }, 300)).catch(() => {})
          return marks.some((mark) => mark.blip === blip)
        })
        await until('ada sees both again', () => ada.who() === 'ada×1,bob×1')
      }
      assert.deepEqual(bob.told, [])
      assert.equal(bob.metas('ada')[0].phx_ref, ref)
    })
  })
}

test('who is cut and does not come back leaves after the grace', async () => {
  const topic = 'code:project:gone'
  const hasty = await startServer({ DUCKWIRE_PRESENCE_GRACE: '1s' })
  open.push(hasty)
  const proxy = await cutter(hasty.url, Infinity)
  const bob = await look(dial('bob', transports.WebSocket, hasty.url), topic)
  await look(dial('ada', transports.WebSocket, proxy.url), topic)
  await until('both', () => bob.who() === 'ada×1,bob×1')
  bob.told.length = 0
  proxy.close() // for good
  await until('the leave', () => bob.who() === 'bob×1')
  assert.deepEqual(bob.told, ['-ada leaves 0'])
})

test('who may not be present reads, unseen', async () => {
  const topic = 'code:project:unseen'
  const bob = await look(dial('bob', transports.WebSocket), topic)
  await until('bob sees himself', () => bob.who() === 'bob×1')
  const socket = connect(server.url, token('eve', ['code:project:*=subscribe']))
  open.push(socket)
  const eve = await look(socket, topic)
  await until('eve sees bob', () => eve.who() === 'bob×1')
  await join(dial('ada', transports.WebSocket), topic)
  await until('ada', () => bob.who() === 'ada×1,bob×1' && eve.who() === 'ada×1,bob×1')
})
