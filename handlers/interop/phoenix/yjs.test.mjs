// y-phoenix-channel: documents of Yjs on yjs:ID, which the server keeps without reading them.
//
// Only in make test-all: it needs half a minute.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { PhoenixChannelProvider } from 'y-phoenix-channel'
import * as Y from 'yjs'
import { connect, disconnect, join } from '../lib/phoenix.mjs'
import { cutter } from '../lib/cutter.mjs'
import { random, seed } from '../lib/random.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let server
const open = []

before(async () => {
  server = await startServer({ DUCKWIRE_HISTORY_EVENTS: '60' })
})
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})
after(() => server?.close())

/** copy opens a copy of a document: its text, and its provider. */
function copy(name, { user = 'ada', bearer = token(user), url = server.url, doc = new Y.Doc(), options = {} } = {}) {
  const socket = connect(url, bearer)
  const provider = new PhoenixChannelProvider(socket, `yjs:${name}`, doc, { disableBc: true, ...options })
  open.push(async () => {
    provider.destroy()
    await disconnect(socket)
  })
  return { socket, provider, doc, text: doc.getText('t'), close: open.at(-1) }
}

const synced = (...copies) => until('synced', () => copies.every((c) => c.provider.synced))
const same = (...copies) => until('the same text', () => copies.every((c) => c.text.toString() === copies[0].text.toString()))
const events = async (name) => (await api(server, token())('GET', `/v1/topics/yjs:${name}/events?limit=60`)).events

test('two edit together, and a late joiner gets the document', async () => {
  const [ada, bob] = [copy('pair'), copy('pair', { user: 'bob' })]
  await synced(ada, bob)
  ada.text.insert(0, 'hello 🦆')
  await until("ada's text", () => bob.text.toString() === 'hello 🦆')
  bob.text.insert(0, '> ')
  bob.text.delete(2, 1)
  await until("bob's text", () => ada.text.toString() === '> ello 🦆')
  const late = copy('pair', { user: 'late' })
  await synced(late)
  assert.equal(late.text.toString(), '> ello 🦆') // at the moment at which it is synced
  await Promise.all([ada, bob, late].map((c) => c.close()))
  const alone = copy('pair', { user: 'alone' })
  await synced(alone)
  assert.equal(alone.text.toString(), '> ello 🦆')
})

test('what was written while away comes with the client', async () => {
  const proxy = await cutter(server.url, Infinity)
  open.push(() => proxy.close())
  const [ada, bob] = [copy('away', { url: proxy.url }), copy('away', { user: 'bob' })]
  await synced(ada, bob)
  ada.text.insert(0, 'abc')
  await same(ada, bob)
  ada.provider.disconnect()
  ada.text.insert(3, ' from away')
  bob.text.delete(0, 1)
  ada.provider.connect()
  await until('both', () => ada.text.toString() === 'bc from away' && bob.text.toString() === 'bc from away')
  proxy.cut() // and deletions, which no state vector tells of
  await until('the cut was noticed', () => !ada.provider.synced)
  ada.text.delete(0, 3)
  await until('the deletion', () => bob.text.toString() === 'from away')
  const late = copy('away', { user: 'late' })
  await synced(late)
  assert.equal(late.text.toString(), 'from away')
})

test('far more updates than the history keeps', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const pick = random()
  const writers = [copy('long'), copy('long', { user: 'bob' }), copy('long', { user: 'eve' })]
  await synced(...writers)
  for (let n = 0; n < 600; n++) {
    const w = writers[pick(writers.length)]
    if (pick(4) === 0 && w.text.length > 0) w.text.delete(pick(w.text.length), 1)
    else w.text.insert(pick(w.text.length + 1), `${n};`)
    if (n % 20 === 0) await same(...writers)
  }
  await same(...writers)
  const late = copy('long', { user: 'late' })
  await synced(late)
  assert.equal(late.text.toString(), writers[0].text.toString())
  assert.equal(late.doc.store.pendingStructs, null)
  const names = (await events('long')).map((e) => e.event)
  assert.ok(names.includes('yjs_state') && names.length <= 60, `${names}`)
})

test('awareness: cursors of those who are there, also for who comes later', async () => {
  const [ada, bob] = [copy('aware'), copy('aware', { user: 'bob' })]
  const second = copy('aware') // a second window of ada's
  await synced(ada, bob, second)
  ada.provider.awareness.setLocalState({ name: 'ada', at: 1 })
  second.provider.awareness.setLocalState({ name: 'ada 2', at: 2 })
  const seen = (c) => [...c.provider.awareness.getStates().values()].map((s) => s.name).filter(Boolean).sort().join()
  await until('both windows', () => seen(bob) === 'ada,ada 2')
  ada.provider.awareness.setLocalState({ name: 'ada', at: 7 })
  await until('the move', () => bob.provider.awareness.getStates().get(ada.doc.clientID)?.at === 7)
  const late = copy('aware', { user: 'late' })
  await until('the current ones', () => seen(late) === 'ada,ada 2')
  await second.close()
  await until('one has left', () => seen(late) === 'ada' && seen(bob) === 'ada')
  ada.socket.conn.terminate() // without a farewell, and it does not come back
  ada.socket.reconnectTimer.scheduleTimeout = () => {}
  await until('the other, too', () => seen(bob) === '')
})

test('a restart of the server: the clients bring the document back', async () => {
  const [ada, bob] = [copy('restart'), copy('restart', { user: 'bob' })]
  await synced(ada, bob)
  ada.text.insert(0, 'kept by the clients')
  await same(ada, bob)
  await server.restart('SIGKILL')
  await until('noticed', () => !ada.provider.synced || !bob.provider.synced)
  await synced(ada, bob)
  const late = copy('restart', { user: 'late' })
  await until('the text', () => late.text.toString() === 'kept by the clients')
  await until('one state', async () => (await events('restart')).length > 0)
  assert.equal((await events('restart')).length, 1) // both had the same
})

test('who may only subscribe reads, and changes nothing', async () => {
  const ada = copy('rights')
  const reader = copy('rights', { bearer: token('eve', ['yjs:rights=subscribe']) })
  await synced(ada, reader)
  ada.text.insert(0, 'mine')
  await same(reader, ada)
  reader.text.insert(0, 'not ')
  ada.text.insert(4, '!')
  await until('the next', () => reader.text.toString() === 'not mine!')
  assert.equal(ada.text.toString(), 'mine!')
  const denied = copy('rights', { bearer: token('out', ['yjs:other=*']) })
  await until('refused', () => denied.provider.channel.state === 'errored')
})

test('what is no message of Yjs is refused, and harms nobody', async () => {
  const [ada, bob] = [copy('bad'), copy('bad', { user: 'bob' })]
  await synced(ada, bob)
  const push = (event, payload) => new Promise((resolve) => {
    ada.provider.channel.push(event, payload).receive('ok', () => resolve('ok')).receive('error', (e) => resolve(e.field))
  })
  for (const bytes of [[], [0], [0, 7, 0], [9, 0], [0, 2, 50, 1], [0, 0, 2, 200, 200], [1, 2, 3, 4]]) {
    assert.equal(await push('yjs', new Uint8Array(bytes).buffer), 'payload', `${bytes}`)
  }
  assert.equal(await push('yjs', { a: 1 }), 'payload')
  assert.equal(await push('yjs_state', new Uint8Array([1]).buffer), 'event')
  ada.text.insert(0, 'fine')
  await same(bob, ada)
})

test('a client that answers no question cannot make the history drop an update', async () => {
  const socket = connect(server.url, token('mute'))
  open.push(() => disconnect(socket))
  const channel = await join(socket, 'yjs:mute')
  let questions = 0
  channel.on('yjs', (data) => {
    const [kind, sync] = new Uint8Array(data)
    if (kind === 0 && sync === 0) questions++
  })
  const push = (bytes) => new Promise((resolve) => {
    channel.push('yjs', new Uint8Array(bytes).buffer).receive('ok', () => resolve('ok')).receive('error', (e) => resolve(e.reason))
  })
  // Its own copy, and one with what was accepted.
  const [doc, accepted] = [new Y.Doc(), new Y.Doc()]
  let update
  doc.on('update', (u) => (update = u))
  let refused
  while (!refused) {
    doc.getText('t').insert(0, 'x')
    const answer = await push([0, 2, update.length, ...update])
    if (answer === 'ok') Y.applyUpdate(accepted, update)
    else refused = answer
  }
  assert.equal(refused, 'rate_limited')
  const late = copy('mute', { user: 'late', bearer: token('late', ['yjs:mute=subscribe']) }) // it is not asked itself
  await synced(late)
  assert.equal(late.text.toString(), accepted.getText('t').toString())
  // Now it answers, and goes on.
  await until('the question for what was refused', () => questions > 0)
  const state = Y.encodeStateAsUpdate(doc)
  const length = [(state.length & 127) | 128, state.length >> 7]
  for (; questions > 0; questions--) assert.equal(await push([0, 1, ...length, ...state]), 'ok')
  doc.getText('t').insert(0, 'y')
  assert.equal(await push([0, 2, update.length, ...update]), 'ok')
  await until('all', () => late.text.toString() === doc.getText('t').toString())
})

test('a document that is too large is refused, and the others go on', async () => {
  const [ada, bob] = [copy('large'), copy('large', { user: 'bob' })]
  await synced(ada, bob)
  ada.text.insert(0, 'small')
  await same(bob, ada)
  ada.text.insert(0, 'x'.repeat(1.5 * 2 ** 20)) // more than a message may have
  await until('the refusal', () => ada.socket.isConnected() && ada.provider.synced)
  bob.text.insert(0, 'still ')
  await until('the small change', () => ada.text.toString().includes('still '))
})
