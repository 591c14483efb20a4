// Messages for those who are away: handled in order and once, acknowledged by themselves; and who is there, and where.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Socket } from 'phoenix'
import { Cursors, memoryStore, People, Queue } from '../dist/index.js'
import { api, client, closeAll, cutter, kept, random, seed, startServer, token, until } from './lib/client.mjs'
import { frameProxy } from './lib/frames.mjs'

let server, app

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000', DUCKWIRE_PRESENCE_GRACE: '1s' })
  app = api(server, token('app'))
})
afterEach(closeAll)
after(() => server?.close())

/** deadSocket is a Socket on a connection that takes everything and answers nothing. */
function deadSocket() {
  const transport = class {
    readyState = 1
    skipHeartbeat = true
    send() {}
    close() {
      this.readyState = 3
    }
  }
  const socket = new Socket('ws://dead/socket', { transport, timeout: 20 })
  socket.connect()
  return socket
}

const leave = (user, n) => app('POST', `/v1/users/${user}/messages`, { event: 'note', payload: { n } })
const waiting = async (user) => (await api(server, token(user))('GET', '/v1/users/me/messages')).messages.length
const count = (n) => Array.from({ length: n }, (_, i) => i)

test('messages are handled in order and once, over cuts and visits', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const pick = random()
  const proxy = await kept(cutter(server.url, () => 1500 + pick(4000)))
  const store = memoryStore()
  const handled = []
  const visit = () => {
    const duckwire = client(proxy.url, { token: token('eve'), user: 'eve', store })
    const queue = duckwire.queue(async ({ payload, event }) => {
      assert.equal(event, 'note')
      await new Promise((resolve) => setTimeout(resolve, pick(3)))
      handled.push(payload.n)
    })
    return { duckwire, queue }
  }
  let sent = 0
  for (let n = 0; n < 4; n++) {
    for (let i = 0; i < 10; i++) await leave('eve', sent++)
    const { duckwire, queue } = visit()
    for (let i = 0; i < 10; i++) await leave('eve', sent++)
    await until('some messages', () => handled.length > sent - 15)
    await queue.close()
    await duckwire.close()
  }
  visit()
  await until('all messages', () => handled.length >= sent)
  await until('the acknowledgement', async () => (await waiting('eve')) === 0)
  assert.deepEqual(handled, count(sent))
})

test('an onError or onExpired that throws, and a leave without a reply, stop nothing', async (t) => {
  const thrown = []
  const real = globalThis.setTimeout
  t.mock.method(globalThis, 'setTimeout', (task, ...rest) => real((...args) => {
    try {
      task(...args)
    } catch (error) {
      thrown.push(error.message) // what would be an uncaught error
    }
  }, ...rest))
  let calls = 0
  const fail = (message) => {
    throw new Error(message)
  }
  const handled = []
  const options = { onError: () => fail('in onError'), onExpired: () => fail('in onExpired') }
  const queue = new Queue(deadSocket(), 'bob', ({ payload }) => {
    if (calls++ === 0) fail('in the handler')
    handled.push(payload.n)
  }, options, memoryStore(), 'dead')
  queue.channel.phoenix.trigger('messages_expired', { expired: 1, through: 'q.1' })
  for (const n of [2, 3]) queue.channel.phoenix.trigger('message', { id: `m${n}`, position: `q.${n}`, payload: { n } })
  await until('both', () => handled.length === 2)
  await queue.close()
  assert.deepEqual(handled, [2, 3])
  assert.deepEqual(thrown, ['in onExpired', 'in onError'])
})

test('a handler that fails gets the message again, unless it is skipped', async () => {
  await leave('bob', 0)
  await leave('bob', 1)
  await leave('bob', 2)
  const duckwire = client(server.url, { token: token('bob'), user: 'bob' })
  const seen = []
  const errors = []
  duckwire.queue(({ payload: { n } }) => {
    seen.push(n)
    if (n === 0 && seen.length < 2) throw new Error('not yet')
    if (n === 1) throw new Error('never')
  }, {
    onError(error, { payload: { n } }) {
      errors.push(error.message)
      return n === 1 ? 'skip' : undefined
    },
  })
  await until('the last message', () => seen.at(-1) === 2)
  assert.deepEqual([seen, errors], [[0, 0, 1, 2], ['not yet', 'never']])
  await until('the acknowledgement', async () => (await waiting('bob')) === 0)
})

test('to close the client is to close its queues', async () => {
  for (const n of count(3)) await leave('gil', n)
  const duckwire = client(server.url, { token: token('gil'), user: 'gil' })
  const handled = []
  let finish
  duckwire.queue(({ payload }) => {
    handled.push(payload.n)
    return new Promise((resolve) => (finish = resolve))
  })
  await until('the first message', () => handled.length > 0)
  const closing = duckwire.close()
  finish()
  await closing
  assert.deepEqual([handled, await waiting('gil')], [[0], 2])
})

describe('to close a queue takes', () => {
  const never = new Promise(() => {})

  /** closed has a queue that was closed go on for a few turns, and reports whether it is closed then. */
  async function closed(closing) {
    let is = false
    void closing.then(() => (is = true))
    for (let n = 0; n < 5; n++) await turn()
    return is
  }

  test('no time without a connection', async () => {
    await leave('fay', 0)
    const isAck = (way, text) => way === 'up' && text.includes('"ack"')
    const proxy = await frameProxy(server.url, (...frame) => (isAck(...frame) ? never : undefined))
    const handled = []
    const queue = client(proxy.url, { token: token('fay'), user: 'fay', transports: ['websocket'] }).queue(() => void handled.push(1))
    await until('the message', () => handled.length > 0)
    proxy.close()
    await until('the cut', () => queue.channel.state === 'errored')
    assert.equal(await closed(queue.close()), true)
  })

  for (const what of ['handler', 'acknowledgement']) {
    test(`ten seconds at most, though the ${what} has no end`, async (t) => {
      const user = `hal-${what}`
      await leave(user, 0)
      const hangs = (one) => (one === what ? never : undefined)
      const see = (way, text) => (way === 'up' && text.includes('"ack"') ? hangs('acknowledgement') : undefined)
      const proxy = await kept(frameProxy(server.url, see))
      const handled = []
      const queue = client(proxy.url, { token: token(user), user, transports: ['websocket'] }).queue(() => {
        handled.push(1)
        return hangs('handler')
      })
      await until('the message', () => handled.length > 0)
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const closing = queue.close()
      for (let n = 0; n < 5; n++) await turn()
      t.mock.timers.tick(9999)
      assert.equal(await closed(closing), false)
      t.mock.timers.tick(1)
      assert.equal(await closed(closing), true)
      t.mock.timers.reset()
      await queue.close() // again changes nothing
    })
  }
})

test('what expired is told', async () => {
  const hasty = await kept(startServer({ DUCKWIRE_QUEUE_TTL: '1s' }))
  await api(hasty, token('app'))('POST', '/v1/users/dan/messages', { event: 'note' })
  await until('it expires', async () => (await api(hasty, token('dan'))('GET', '/v1/users/me/messages')).expired === 1)
  const expired = []
  client(hasty.url, { token: token('dan'), user: 'dan' }).queue(() => {}, { onExpired: (e) => expired.push(e.expired) })
  await until('the word of it', () => expired.length > 0)
  assert.deepEqual(expired, [1])
})

test('who is there, and where', async (t) => {
  const join = async (user) => {
    const duckwire = client(server.url, { token: token(user), user })
    const channel = duckwire.channel('code:file:cursors.js')
    const people = new People(channel)
    const cursors = new Cursors(channel, { event: 'cursor_position', heard: 'cursor_update' })
    await channel.join()
    return { duckwire, people, cursors }
  }
  const ada = await join('ada')
  const moves = []
  ada.cursors.onMove(({ position }) => moves.push(position.line))
  const eve = await join('eve')
  for (const { people } of [ada, eve]) await until('both', () => people.list().map((p) => p.user).join() === 'ada,eve')
  // In one instant, however long it takes: the first is sent at once, and the last when it is due.
  const now = performance.now()
  const clock = t.mock.method(performance, 'now', () => now)
  for (let line = 1; line <= 200; line++) eve.cursors.move({ position: { line, column: 1 } })
  clock.mock.restore()
  await until('the last place', () => moves.at(-1) === 200)
  assert.ok(moves.length <= 2, `${moves.length} moves were sent, in an instant`)
  await eve.duckwire.close()
  await until('eve to be gone', () => ada.people.list().length === 1)
})
