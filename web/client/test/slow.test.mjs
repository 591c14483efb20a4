// Slow links: what takes longer than a client's patience arrives on each transport, in both directions. RATE and SIZE
// (bytes per second, bytes) and PATIENT=1, for the usual timeouts, make the case larger.
//
// Only in make test-all: it needs a minute.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { api, client, closeAll, kept, startServer, token, until } from './lib/client.mjs'
import { slowLink } from './lib/slowlink.mjs'

const rate = Number(process.env.RATE ?? 150_000)
const size = Number(process.env.SIZE ?? 450_000)
// A heartbeat's reply, and with long-poll any answer, must come in a third of the time that a message takes.
const hasty = process.env.PATIENT ? {} : { heartbeatIntervalMs: (1000 * size) / rate / 3, longpollerTimeout: (1000 * size) / rate / 3 }
const minutes = 600_000

let server, call

before(async () => {
  server = await startServer()
  call = api(server, token())
})
afterEach(closeAll)
after(() => server?.close())

const text = (n) => `${n}${'🦆'.repeat(size / 4)}`

for (const transport of ['websocket', 'sse', 'padded', 'longpoll']) {
  test(`two long messages, over ${transport}`, async (t) => {
    const link = await kept(slowLink(server.url, rate))
    const topic = `slow:${transport}`
    for (const n of [1, 2]) await call('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'long', payload: { text: text(n) } }] })
    const duckwire = client(link.url, { token: token(), transports: [transport], patience: { [transport]: 30_000 }, socket: hasty })
    const channel = duckwire.channel(topic, { after: '0' })
    const heard = []
    let joins = 0
    channel.on('long', ({ text }) => heard.push(text))
    channel.onJoin(() => joins++)
    await channel.join()
    await until('both messages', () => heard.length >= 2, minutes)
    assert.deepEqual(heard, [text(1), text(2)])
    t.diagnostic(`${joins} joins, ${link.connections()} connections, ${link.passed()} bytes came down`)
  })

  test(`a long push, over ${transport}`, async (t) => {
    const link = await kept(slowLink(server.url, rate))
    const topic = `slow:up:${transport}`
    // A poll that is idle takes 10 seconds.
    const socket = transport === 'longpoll' ? {} : hasty
    const duckwire = client(link.url, { token: token(), transports: [transport], patience: { [transport]: 30_000 }, socket })
    const channel = duckwire.channel(topic, { after: '' })
    await channel.join()
    await channel.push('long', { text: text(3) })
    const { events } = await call('GET', `/v1/topics/${topic}/events?after=0`)
    assert.deepEqual(events.map(({ payload }) => payload.text), [text(3)])
    t.diagnostic(`${link.connections()} connections`)
  })
}
