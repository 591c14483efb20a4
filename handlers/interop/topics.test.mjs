// Topics over SSE, read by EventSource: names, resuming, and the effect of a restart of the server.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { EventSource as NpmEventSource } from 'eventsource'
import { cutter } from './lib/cutter.mjs'
import { api, startServer, token } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

let server, bearer, call
const open = []

before(async () => {
  server = await startServer()
  bearer = token()
  call = api(server, bearer)
})
afterEach(() => open.splice(0).forEach((o) => o.close()))
after(() => server?.close())

const sources = { "Node's EventSource": globalThis.EventSource, eventsource: NpmEventSource }
const names = ['message', 'hello', 'reset', 'bye', 'end', 'edit', 'cursor']

/** follow opens an EventSource and records what it receives, as [name, data]. */
async function follow(Source, url) {
  const source = new Source(`${url}${url.includes('?') ? '&' : '?'}token=${bearer}`)
  open.push(source)
  const events = []
  const native = [] // EventSource's own open and error: they have no data
  for (const name of names) source.addEventListener(name, (e) => events.push([name, JSON.parse(e.data)]))
  for (const name of ['open', 'error']) source.addEventListener(name, (e) => native.push([name, e.data]))
  await until('hello', () => events.some(([name]) => name === 'hello'))
  return { source, events, native, of: (name) => events.filter(([n]) => n === name).map(([, data]) => data) }
}

const publish = (topic, ...events) => call('POST', `/v1/topics/${topic}/events`, { events })
const numbers = (envelopes) => envelopes.map((e) => e.payload.n)

for (const [title, Source] of Object.entries(sources)) {
  describe(title, () => {
    const slug = title.replace(/\W/g, '')

    test('gets events with their envelopes', async () => {
      const topic = `code:project:${slug}`
      const reader = await follow(Source, `${server.url}/v1/topics/${topic}/events`)
      const answer = await publish(topic, { id: 'e1', event: 'edit', payload: { n: 1, text: 'a\nb\r\n🦆\u2028' } })
      const [envelope] = await until('the event', () => reader.of('edit').length > 0 && reader.of('edit'))
      const { time, ...rest } = envelope
      assert.deepEqual(rest, {
        id: 'e1', topic, event: 'edit', payload: { n: 1, text: 'a\nb\r\n🦆\u2028' }, sender: 'ada', position: answer.events[0].position,
      })
      assert.ok(Math.abs(Date.now() - Date.parse(time)) < 60_000, `time ${time}`)
    })

    test('gets reserved names unnamed, and keeps its own events to itself', async () => {
      const topic = `plain:${slug}`
      const reader = await follow(Source, `${server.url}/v1/topics/${topic}/events`)
      const reserved = ['hello', 'end', 'reset', 'bye', 'open', 'error', 'message']
      await publish(topic, ...reserved.map((event, n) => ({ event, payload: { n } })))
      await until('all events', () => reader.of('message').length >= reserved.length)
      assert.deepEqual(reader.of('message').map((e) => e.event), reserved)
      assert.deepEqual(['hello', 'end', 'reset', 'bye'].map((name) => reader.of(name).length), [1, 0, 0, 0])
      assert.deepEqual(reader.native, [['open', undefined]])
    })

    test('misses nothing while it is away', async () => {
      const topic = `away:${slug}`
      // The response's head, hello and the first event arrive; the connection is cut after that.
      const proxy = await cutter(server.url, 1500)
      open.push(proxy)
      const reader = await follow(Source, `${proxy.url}/v1/topics/${topic}/events`)
      for (let n = 0; n < 40; n++) await publish(topic, { event: 'edit', payload: { n } })
      await until('all events', () => reader.of('edit').length >= 40)
      assert.deepEqual(numbers(reader.of('edit')), Array.from({ length: 40 }, (_, n) => n))
      assert.equal(proxy.requests().length, 2)
      assert.match(proxy.requests()[1], /^last-event-id: /im)
      assert.equal(reader.of('reset').length, 0)
    })

    test('follows many topics on one connection, and resumes them all', async () => {
      const [a, b] = [`many:${slug}:a`, `many:${slug}:b`]
      const proxy = await cutter(server.url, 2500)
      open.push(proxy)
      const reader = await follow(Source, `${proxy.url}/v1/events?topic=${a}&topic=${b}`)
      for (let n = 0; n < 40; n++) await publish(n % 2 === 0 ? a : b, { event: 'edit', payload: { n } })
      await until('all events', () => reader.of('edit').length >= 40)
      const of = (topic) => numbers(reader.of('edit').filter((e) => e.topic === topic))
      assert.deepEqual(of(a), Array.from({ length: 20 }, (_, i) => 2 * i))
      assert.deepEqual(of(b), Array.from({ length: 20 }, (_, i) => 2 * i + 1))
      assert.equal(proxy.requests().length, 2)
    })

    test('gets ephemeral events, whose position is none', async () => {
      const topic = `cursors:${slug}`
      const reader = await follow(Source, `${server.url}/v1/topics/${topic}/events`)
      await publish(topic, { event: 'cursor', payload: { n: 1 }, ephemeral: true })
      const [cursor] = await until('the cursor', () => reader.of('cursor').length > 0 && reader.of('cursor'))
      assert.deepEqual(cursor.payload, { n: 1 })
      assert.equal(cursor.position ?? null, null)
    })
  })
}

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`a restart by ${signal} is told, and then goes on`, async () => {
    const topic = `restart:${signal}`
    // Not Node's own EventSource, which gives up if a connection is refused.
    const readers = await Promise.all([1, 2].map(() => follow(NpmEventSource, `${server.url}/v1/topics/${topic}/events`)))
    await publish(topic, { event: 'edit', payload: { n: 1 } })
    await until('the first event', () => readers.every((r) => r.of('edit').length === 1))
    await server.restart(signal)
    // Topics are in memory: the previous log is gone, and its positions are invalid.
    for (const r of readers) {
      const [reset] = await until('reset', () => r.of('reset').length > 0 && r.of('reset'))
      assert.equal(reset.reason, 'epoch')
      assert.deepEqual(r.of('hello').map((h) => h.recovered), [true, false])
      assert.deepEqual(r.of('bye').map((b) => b.reason), signal === 'SIGTERM' ? ['drain'] : [])
      assert.equal(r.source.readyState, r.source.OPEN)
    }
    await publish(topic, { event: 'edit', payload: { n: 2 } })
    await until('the second event', () => readers.every((r) => r.of('edit').length === 2))
    for (const r of readers) assert.deepEqual(numbers(r.of('edit')), [1, 2])
  })
}

test('a token that does not allow the topic closes the EventSource for good', async () => {
  const poor = token('eve', ['code:project:1=subscribe'])
  for (const Source of Object.values(sources)) {
    const source = new Source(`${server.url}/v1/topics/code:project:2/events?token=${poor}`)
    open.push(source)
    await until('closed', () => source.readyState === source.CLOSED)
  }
})
