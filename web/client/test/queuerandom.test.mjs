// A model of the queue over a network that delays, stalls and cuts at random, with joins that time out and messages that
// expire. The server is a model of handlers/socket: one channel for each connection, which a newer join replaces, and a
// feed that reads the queue behind the join's "after" (handlers/queuemodel_test.go has the real one). So many orders of
// events are tried in seconds; queuemodel.test.mjs has the real server.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Socket } from 'phoenix'
import { memoryStore, Queue } from '../dist/index.js'
import { hung, sleep, until, within } from '../../../handlers/interop/lib/wait.mjs'
import { random, seed } from '../../../handlers/interop/lib/random.mjs'
import { quick } from '../../../handlers/interop/lib/quick.mjs'

const runs = Number(process.env.RUNS ?? (quick ? 100 : 400))
const lanes = 20

/** ModelServer has one user's queue. A position of the queue is q.OFFSET, and one of the channel t.VOFFSET. */
class ModelServer {
  all = []
  head = 0
  expired = 0 // up to where messages expired without having been acknowledged
  acknowledged = 0
  connections = new Set()

  leave(n) {
    this.all.push({ id: `m${this.all.length + 1}`, position: `q.${this.all.length + 1}`, payload: { n } })
    for (const one of this.connections) one.signal()
  }

  acknowledge(through) {
    const at = Number(through.split('.')[1])
    assert.ok(at >= this.acknowledged, `acknowledged through ${at}, after ${this.acknowledged}`)
    this.acknowledged = at
    this.head = Math.max(this.head, at)
  }

  expire() {
    if (this.head === this.all.length) return
    this.expired = ++this.head
    for (const one of this.connections) one.signal()
  }
}

/** Connection is the server's side of one connection: what a session of handlers/socket does. */
class Connection {
  channel = undefined // { joinRef, read, told }
  constructor(server, pick, send) {
    Object.assign(this, { server, pick, send, turn: Promise.resolve(), over: false })
    server.connections.add(this)
  }

  end() {
    this.over = true
    this.server.connections.delete(this)
  }

  receive(text) {
    const [joinRef, ref, topic, event, payload] = JSON.parse(text)
    const reply = (status, response) => this.send(JSON.stringify([joinRef, ref, topic, 'phx_reply', { status, response }]))
    if (topic === 'phoenix') return reply('ok', {})
    // The channel's worker takes one message after another.
    this.turn = this.turn.then(async () => {
      if (this.pick(4) === 0) await sleep(this.pick(30)) // a busy server
      if (this.over) return
      const close = (one) => this.send(JSON.stringify([one.joinRef, one.joinRef, topic, 'phx_close', {}]))
      const now = this.channel
      if (event === 'phx_join') {
        const after = /^t\.V(\d+)$/.exec(payload.after)
        const read = Math.max(after ? Number(after[1]) : 0, this.server.head)
        reply('ok', { recovered: true, position: `t.V${read}` })
        if (now) close(now)
        this.channel = { joinRef, read, told: 0 }
        this.signal()
      } else if (joinRef !== now?.joinRef) {
        if (!now) reply(event === 'phx_leave' ? 'ok' : 'error', { reason: 'unmatched topic' })
      } else if (event === 'phx_leave') {
        reply('ok', {})
        close(now)
        this.channel = undefined
      } else if (event === 'ack') {
        this.server.acknowledge(payload.through)
        reply('ok', payload)
      }
    })
  }

  /** signal sends what the channel has not read: a feed reads from its own place, or from the head if that is later. */
  signal() {
    const { all, head, expired, acknowledged } = this.server
    const one = this.channel
    if (!one) return
    if (expired > Math.max(one.told, acknowledged)) {
      one.told = expired
      this.send(JSON.stringify([one.joinRef, null, 'user:ada', 'messages_expired', { expired: 1, through: `q.${expired}` }]))
    }
    for (one.read = Math.max(one.read, head); one.read < all.length; one.read++) {
      this.send(JSON.stringify([one.joinRef, `t.V${one.read + 1}`, 'user:ada', 'message', all[one.read]]))
    }
  }
}

/** network returns a transport class whose connections delay frames in order, stall, and are cut at random. */
function network(server, pick) {
  return class {
    readyState = 0
    onopen = () => {}
    onerror = () => {}
    onmessage = () => {}
    onclose = () => {}

    constructor() {
      const relay = (to) => {
        let last = Promise.resolve()
        return (text) => {
          const delay = sleep(pick(8) === 0 ? pick(40) : pick(3))
          last = last.then(() => delay).then(() => this.readyState === 1 && to(text))
        }
      }
      this.peer = new Connection(server, pick, relay((data) => this.onmessage({ data })))
      this.up = relay((text) => this.peer.receive(text))
      setTimeout(() => {
        if (this.readyState !== 0) return
        this.readyState = 1
        this.onopen()
      }, pick(5))
      setTimeout(() => this.cut(), pick(4) === 0 ? pick(400) : pick(80))
    }

    send(text) {
      this.up(text)
    }

    cut() {
      if (this.readyState === 3) return
      this.peer.end()
      this.onerror(new Error('cut'))
      this.close()
    }

    close() {
      if (this.readyState === 3) return
      this.readyState = 3
      this.peer.end()
      setTimeout(() => this.onclose({ code: 1006 }))
    }
  }
}

async function run(pick) {
  const server = new ModelServer()
  const log = []
  const socket = new Socket('ws://model/socket', {
    transport: network(server, pick), timeout: 25, reconnectAfterMs: () => 1, rejoinAfterMs: () => 2,
    logger: (...args) => log.push(JSON.stringify(args)),
  })
  socket.connect()
  const handled = []
  const handler = async ({ payload }) => {
    if (pick(2)) await sleep(pick(4))
    handled.push(payload.n)
    log.push(`handled ${payload.n}`)
  }
  const queue = new Queue(socket, 'ada', handler, {}, memoryStore(), 'model')
  let read = 0 // the queue's part of the channel's position never goes back
  const forward = (position) => {
    const at = Number(position.slice(3))
    assert.ok(at >= read, `the position is ${at}, after ${read}`)
    read = at
  }
  queue.channel.on('message', (_, { position }) => forward(position))
  queue.channel.onJoin(() => forward(queue.channel.position))
  const total = 3 + pick(8)
  for (let n = 0; n < total; n++) {
    server.leave(n)
    log.push(`left ${n}`)
    if (pick(8) === 0) {
      server.expire()
      log.push(`expired through ${server.expired}`)
    }
    await sleep(pick(3) === 0 ? pick(60) : pick(5))
  }
  try {
    await until('the last acknowledgement', () => server.acknowledged === total, hung)
    const whole = Array.from({ length: total }, (_, n) => n)
    assert.deepEqual(handled, whole.filter((n) => n >= server.expired || handled.includes(n)))
  } catch (error) {
    throw new Error(`${error.message}\n${log.join('\n')}`, { cause: error })
  } finally {
    await queue.close()
    socket.disconnect()
  }
}

test('messages are handled in order and once, whatever is delayed and cut when', { timeout: 10 * hung }, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  let left = runs
  await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    const pick = random(seed + lane)
    while (left-- > 0) await within(hung, 'a run', run(pick))
  }))
})
