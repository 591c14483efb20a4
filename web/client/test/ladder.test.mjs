// Which way leads to the server, through proxies of the unhelpful kinds.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { memoryStore } from '../dist/index.js'
import { api, client, closeAll, cutter, kept, startServer, token, until, within } from './lib/client.mjs'
import { startProxy } from './lib/proxy.mjs'

let server, bearer, call

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  bearer = token()
  call = api(server, bearer)
})
afterEach(closeAll)
after(() => server?.close())

let topics = 0

/** works holds a client to what a channel is for: what others publish comes, and what is pushed is published. */
async function works(duckwire) {
  const topic = `ladder:${topics++}`
  const channel = duckwire.channel(topic)
  const heard = []
  channel.on('note', ({ n }) => heard.push(n))
  await within(60_000, 'the join', channel.join())
  await call('POST', `/v1/topics/${topic}/events`, { events: [{ event: 'note', payload: { n: 1 } }] })
  await until('the event', () => heard.length === 1, 30_000)
  await channel.push('note', { n: 2 })
  await until('the echo', () => heard.length === 2, 30_000)
  assert.deepEqual(heard, [1, 2])
}

describe('the first rung that works', () => {
  for (const [what, how, rung] of [
    ['everything passes', {}, 'websocket'],
    ['no upgrade', { upgrades: 'refuse' }, 'sse'],
    ['upgrades hang', { upgrades: 'hang' }, 'sse'],
    ['upgrades are swallowed', { upgrades: 'swallow' }, 'sse'],
    ['no upgrade, a threshold', { upgrades: 'refuse', streams: 'threshold' }, 'padded'],
    ['no upgrade, a buffer', { upgrades: 'refuse', streams: 'buffer' }, 'longpoll'],
    ['no upgrade, streams are held', { upgrades: 'refuse', streams: 'hold' }, 'longpoll'],
    ['no upgrade, streams in clumps', { upgrades: 'refuse', streams: 'clump' }, 'longpoll'],
  ]) {
    test(`${what}: ${rung}`, async () => {
      const proxy = await kept(startProxy(server.url, how))
      const duckwire = client(proxy.url, { token: bearer, patience: { websocket: 1500 } })
      duckwire.connect()
      await until(rung, () => duckwire.transport === rung, 60_000)
      await works(duckwire)
      assert.equal(duckwire.transport, rung)
    })
  }
})
