// A model of the queue's memory: two senders who use few ids again and again, a server that forgets ids, messages that
// expire, two tabs with one store, connections that are cut, acknowledgements that are lost, and tabs that crash at any
// point. Every message is handled, in order, and once, unless the tab crashed between the handler and the store.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { memoryStore, Queue } from '../dist/index.js'
import { random, seed } from '../../../handlers/interop/lib/random.mjs'
import { until } from '../../../handlers/interop/lib/wait.mjs'

const runs = 150
const steps = 120

/** locks are Web Locks, which Node.js 20 lacks: one job of a name runs at a time. */
const locks = {
  last: new Map(),
  request(name, job) {
    const mine = (this.last.get(name) ?? Promise.resolve()).then(job)
    this.last.set(name, mine.catch(() => {}))
    return mine
  },
}

const had = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
before(() => Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true }))
after(() => (had ? Object.defineProperty(globalThis, 'navigator', had) : delete globalThis.navigator))

/** Server is a user's queue. */
class Server {
  kept = []
  offset = 0
  ids = new Map()
  expired = 0
  expiredThrough = 0
  channels = new Set()

  /** leave stores a message, unless the server remembers its sender and id. It returns the offset. */
  leave(sender, id) {
    const name = `${sender} ${id}`
    if (this.ids.has(name)) return undefined
    this.ids.set(name, true)
    const message = { sender, id, event: 'note', payload: null, offset: ++this.offset, position: at(this.offset) }
    this.kept.push(message)
    for (const channel of this.channels) channel.pump()
    return this.offset
  }

  expire() {
    const gone = this.kept.shift()
    if (!gone) return undefined
    this.expired++
    this.expiredThrough = gone.offset
    return gone.offset
  }

  ack(through) {
    this.kept = this.kept.filter(({ offset }) => offset > through)
    if (through >= this.expiredThrough) this.expired = 0
  }
}

const at = (offset) => `e-q.${offset}`
const offsetOf = (position) => Number(position.split('.')[1])

/** FakeChannel is the official client's channel, with the server behind it. */
class FakeChannel {
  state = 'closed'
  onMessage = () => {}
  #hooks = {}
  #errors = []
  #closes = []
  #read = 0
  constructor(topic, params, server, fate) {
    Object.assign(this, { topic, params, server, fate })
  }
  onError(f) { this.#errors.push(f) }
  onClose(f) { this.#closes.push(f) }
  join() {
    queueMicrotask(() => this.rejoin())
    const push = { receive: (status, hook) => ((this.#hooks[status] = hook), push) }
    return push
  }
  rejoin() {
    if (this.state === 'closed' && this.over) return
    const { after } = this.params()
    const known = typeof after === 'string' && after.includes('.')
    this.#read = known ? offsetOf(after) : 0
    this.state = 'joined'
    this.#hooks.ok({ recovered: true, position: at(this.#read) })
    this.server.channels.add(this)
    const { expired, expiredThrough } = this.server
    if (expired > 0) this.onMessage('messages_expired', { expired, through: at(expiredThrough) }, null)
    this.pump()
  }
  pump() {
    for (const message of this.server.kept) {
      if (this.state !== 'joined' || message.offset <= this.#read) continue
      this.#read = message.offset
      this.onMessage('message', { ...message, payload: null }, message.position)
    }
  }
  cut() {
    if (this.state !== 'joined') return
    this.server.channels.delete(this)
    this.state = 'errored'
    for (const f of this.#errors) f()
  }
  push(_event, { through }) {
    const fate = this.fate()
    if (fate !== 'lost') this.server.ack(offsetOf(through))
    const push = { receive: (status, hook) => (status === 'ok' && fate === 'fine' && queueMicrotask(() => this.state === 'joined' && hook({ through })), push) }
    if (fate !== 'fine') queueMicrotask(() => this.cut())
    return push
  }
  leave() {
    this.over = true
    this.server.channels.delete(this)
    this.state = 'closed'
    for (const f of this.#closes) f()
    const push = { receive: (status, hook) => (status === 'ok' && hook({}), push) }
    return push
  }
}

/** Tab is one page. What is in doubts was handled, and may not be in the store. */
class Tab {
  dead = false
  constructor(server, store, pick, handled, doubts) {
    const fate = () => (this.calm ? 'fine' : ['fine', 'fine', 'lost', 'unheard'][pick(4)])
    const guard = (act) => async (...args) => {
      for (let n = pick(3); n > 0; n--) await turn()
      if (this.dead) throw new Error('the tab is gone')
      return act(...args)
    }
    const guarded = { get: guard(store.get), set: guard(store.set), delete: guard(store.delete), keys: guard(store.keys) }
    const save = guarded.set
    guarded.set = async (key, value) => {
      await save(key, value)
      for (const offset of this.doubtful) doubts.delete(offset)
      this.doubtful = []
    }
    this.doubtful = []
    const socket = { isConnected: () => true, channel: (topic, params) => (this.channel = new FakeChannel(topic, params, server, fate)) }
    const handler = async ({ position, sender, id }) => {
      for (let n = pick(4); n > 0; n--) await turn()
      if (this.dead) throw new Error('the tab is gone')
      const offset = offsetOf(position)
      if (doubts.has(offset)) doubts.delete(offset) // a crash allows for one more time
      else if (handled.has(offset)) throw new Error(`handled again: ${offset}, ${id} of ${sender}`)
      handled.set(offset, `${sender} ${id}`)
      this.doubtful.push(offset)
      doubts.add(offset)
      for (let n = pick(2); n > 0; n--) await turn()
    }
    this.faults = []
    const options = { onError: (error) => (this.dead || this.faults.push(error), 'skip') }
    this.queue = new Queue(socket, 'eve', handler, options, guarded, 'box')
  }
  crash() {
    this.dead = true
    this.channel.cut()
    void this.queue.close()
  }
}

/** play plays one history, and returns what was handled of what was sent. */
async function play(pick) {
  const server = new Server()
  const store = memoryStore()
  const [sent, expired, handled, doubts, faults] = [new Map(), new Set(), new Map(), new Set(), []]
  const open = () => new Tab(server, store, pick, handled, doubts)
  const tabs = [open(), open()]
  const close = (n) => (faults.push(...tabs[n].faults), tabs[n].crash())
  let reused = 0
  for (let n = 0; n < steps; n++) {
    const which = pick(2)
    const tab = tabs[which]
    switch (pick(9)) {
      case 0: case 1: case 2: {
        const [sender, id] = [['ada', 'bob'][pick(2)], ['1', '2', '3'][pick(3)]]
        const offset = server.leave(sender, id)
        if (offset === undefined) break
        if ([...sent.values()].some((name) => name.endsWith(id))) reused++
        sent.set(offset, `${sender} ${id}`)
        break
      }
      case 3: server.ids.clear(); break
      case 4: if (pick(4) === 0) expired.add(server.expire()); break
      case 5: tab.channel.cut(); break
      case 6: if (tab.channel.state === 'errored') tab.channel.rejoin(); break
      case 7: if (pick(3) === 0) { close(which); tabs[which] = open() } break
      default: for (let i = pick(6); i > 0; i--) await turn()
    }
  }
  for (const tab of tabs) tab.calm = true
  await until('everything to be handled', () => {
    for (const { channel } of tabs) if (channel.state === 'errored') channel.rejoin()
    return server.kept.length === 0 || tabs.some((tab) => tab.faults.length > 0)
  })
  for (const tab of tabs) {
    await tab.queue.close()
    faults.push(...tab.faults)
  }
  assert.deepEqual(faults.map(String), [])
  for (const offset of expired) if (!handled.has(offset)) sent.delete(offset)
  assert.deepEqual([...handled].sort(([a], [b]) => a - b), [...sent], 'each message is handled')
  // A tab may still handle what another one has been told to be expired.
  const order = [...handled.keys()].filter((offset) => !expired.has(offset))
  assert.deepEqual(order, [...order].sort((a, b) => a - b), 'in order')
  return reused
}

test(`${runs} histories`, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  let reused = 0
  for (let run = 0; run < runs; run++) {
    reused += await play(random(seed + run)).catch((error) => {
      throw new Error(`SEED=${seed}, history ${run} (SEED=${seed + run} makes it the first): ${error.message}`, { cause: error })
    })
  }
  assert.ok(reused > runs, 'ids were used again')
})

test('what is remembered has a limit, and is no more than may come again', async () => {
  const server = new Server()
  const store = memoryStore()
  const tab = new Tab(server, store, () => 0, new Map(), new Set())
  for (let n = 0; n < 600; n++) server.leave('ada', `${n}`)
  await until('all', () => server.kept.length === 0)
  await tab.queue.close()
  const kept = JSON.parse(store.get('box:handled'))
  assert.ok(kept.length <= 260, `${kept.length} are remembered`)
  assert.deepEqual(kept.at(-1), { sender: 'ada', id: '599', position: at(600) })
})
