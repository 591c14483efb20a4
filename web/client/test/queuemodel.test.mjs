// A model of the queue, from the handler to the server's disk: on each transport, messages 0 to 5 are left while one visit
// of their user follows another, and the connection is cut once, at each frame in turn, until a run ends without having
// been cut (make test: at each third frame). What each visit handles is held against the model. queuerandom.test.mjs has
// more cuts at a time, with a model of the server.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { memoryStore } from '../dist/index.js'
import { api, client, closeAll, hung, kept, opened, startServer, token, until, within } from './lib/client.mjs'
import { quick } from '../../../handlers/interop/lib/quick.mjs'
import { frameProxy } from './lib/frames.mjs'

const rungs = ['websocket', 'sse', 'padded', 'longpoll']
const lanes = 4 // scenarios of each transport at one time, each with a user of its own

let server, app

before(async () => {
  server = await startServer({
    DUCKWIRE_CONNECTIONS_PER_USER: '100000', DUCKWIRE_CONNECTIONS_PER_ADDRESS: '100000',
    DUCKWIRE_JOINS_PER_MINUTE: '0', DUCKWIRE_EVENTS_PER_SECOND: '0',
  })
  app = api(server, token('app'))
})
after(async () => {
  await closeAll()
  await server?.close()
})

const message = (n) => ({ event: 'note', payload: { n } })
const leave = (user, ...ns) => app('POST', `/v1/users/${user}/messages`, ns.map(message))

/** person is a user, whose queue is read past the proxy. */
function person(name) {
  const bearer = token(name)
  const call = api(server, bearer)
  const waiting = async () => (await call('GET', '/v1/users/me/messages')).messages.map(({ payload }) => payload.n)
  return { name, bearer, waiting }
}

/** visit opens a client with a queue. handled is what its handler has had; upTo(n) waits until message n is in there. */
function visit(who, url, rung, store) {
  const duckwire = client(url, { user: who.name, token: who.bearer, transports: [rung], store })
  const seen = { handled: [], opens: 0, last: undefined, wake: () => {} }
  duckwire.onTransport(() => seen.opens++)
  const queue = duckwire.queue(async ({ payload }) => {
    await turn()
    seen.handled.push(payload.n)
    if (payload.n === seen.last) seen.wake()
  })
  const upTo = (n) => new Promise((resolve) => {
    Object.assign(seen, { last: n, wake: resolve })
    if (seen.handled.includes(n)) resolve()
  })
  return { duckwire, queue, seen, handled: seen.handled, upTo }
}

/** gone closes a visit's client, which closeAll need not close then. */
async function gone({ duckwire }) {
  await duckwire.close()
  opened.splice(opened.indexOf(duckwire), 1)
}

/** lasts reports whether a rung is an event stream. */
const lasts = (rung) => rung === 'sse' || rung === 'padded'

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)

/**
 * scenario plays two visits, with a cut at one frame: { way, how, at }. The first is closed while acknowledgements are
 * on their way: by its queue's close, or where both visits have one store by that of the client. It reports whether
 * there was a cut, and whether the close had a connection.
 */
async function scenario(who, rung, cut, same) {
  const frames = { up: 0, down: 0 }
  let done = false
  let said = false // the close had a connection all the time
  const proxy = await frameProxy(server.url, (way) => {
    if (way !== cut.way || done || frames[way]++ < cut.at) return undefined
    done = true
    return cut.how
  })
  try {
    const store = memoryStore()
    await leave(who.name, 0, 1)
    const one = visit(who, proxy.url, rung, store)
    if (!same) await one.queue.joined
    await leave(who.name, 2) // while the client connects, or joins again
    await leave(who.name, 3)
    await one.upTo(3)

    // An event stream's session outlives a cut; another client knows of a cut when it has connected anew.
    const sound = () => lasts(rung) || (one.duckwire.socket.isConnected() && one.seen.opens > (done ? 1 : 0))
    const before = { done, sound: sound() }
    if (same) await gone(one)
    else await one.queue.close()
    said = lasts(rung) || (before.sound && before.done === done)
    if (said) assert.deepEqual(await who.waiting(), [], 'what was handled is acknowledged when the queue is closed')
    if (!same) await gone(one)
    assert.deepEqual(one.handled, range(0, 4), 'the first visit')

    await leave(who.name, 4, 5)
    const two = visit(who, proxy.url, rung, same ? store : memoryStore())
    await two.upTo(5)
    await until('the last acknowledgement', async () => (await who.waiting()).length === 0, hung)
    await gone(two)
    const first = two.handled[0]
    assert.deepEqual(two.handled, range(first, 6), 'the second visit: no gap, and no step back')
    if (same || said) assert.equal(first, 4, 'what was handled and acknowledged does not come again')
    else assert.ok(first <= 4, 'nothing is left out')
    assert.deepEqual(await who.waiting(), [], 'nothing is left')
  } finally {
    proxy.close()
  }
  return { cut: done, said }
}

/** cuts are all places to cut at: those of one way until a run had no such place, and then those of the next. */
function* cuts() {
  for (const same of [true, false]) {
    for (const [way, how] of [['up', 'before'], ['up', 'after'], ['down', 'before']]) {
      const places = { way, how, same, over: false }
      for (let at = 0; !places.over; at += quick ? 3 : 1) yield { places, at }
      assert.ok(places.over > 5, 'there are frames to cut at')
    }
  }
}

describe('cut at each frame', { concurrency: true }, () => {
  for (const rung of rungs) {
    test(rung, { timeout: 10 * hung }, async (t) => {
      let [runs, said] = [0, 0]
      const all = cuts()
      await Promise.all(range(0, lanes).map((n) => person(`${rung}-${n}`)).map(async (who) => {
        for (const { places, at } of all) {
          const { way, how, same } = places
          try {
            const run = await within(hung, 'a scenario', scenario(who, rung, { way, how, at }, same))
            if (!run.cut) places.over ||= at
            said += run.said
            runs++
          } catch (error) {
            const what = `a cut ${how} frame ${at} ${way}, with ${same ? 'the same store' : 'a new store'}`
            throw new Error(`${rung}, ${what}: ${error.message}`, { cause: error })
          }
        }
      }))
      assert.ok(said > 0)
      t.diagnostic(`${runs} runs, in ${said} of them a close that had a connection`)
    })
  }
})

for (const rung of rungs) {
  test(`what is handled while one acknowledgement is on its way is acknowledged, too: ${rung}`, async () => {
    const who = person(`held-${rung}`)
    let go
    const held = new Promise((resolve) => (go = resolve))
    let acks = 0
    const proxy = await kept(frameProxy(server.url, (way, text) => {
      return way === 'up' && text.includes('"ack"') && acks++ === 0 ? held : undefined
    }))
    await leave(who.name, 0, 1, 2)
    const one = visit(who, proxy.url, rung, memoryStore())
    await one.upTo(2)
    const closing = one.queue.close()
    go()
    await closing
    assert.deepEqual(await who.waiting(), [])
    await gone(one)
    const two = visit(who, proxy.url, rung, memoryStore())
    await two.queue.joined
    await leave(who.name, 0, 1, 2)
    await two.upTo(2)
    assert.deepEqual([one.handled, two.handled], [[0, 1, 2], [0, 1, 2]])
  })
}
