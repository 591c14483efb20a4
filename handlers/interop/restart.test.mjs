// An EventSource behind a proxy that answers 502 while the server restarts. By its specification it gives up for good
// after any status but 200, so the server tells it to stay away until then.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EventSource } from 'eventsource'
import { startNginx, upgrades } from './lib/nginx.mjs'
import { api, startServer, token } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

let server, nginx

before(async () => {
  server = await startServer()
  nginx = await startNginx(server.url, upgrades)
})
after(async () => {
  await nginx?.close()
  await server?.close()
})

test('EventSources come back after a restart behind a proxy', async () => {
  const bearer = token('ada')
  const sources = Array.from({ length: 8 }, () => new EventSource(`${nginx.url}/v1/topics/room/events?token=${bearer}`))
  const heard = sources.map(() => new Set())
  for (const [i, source] of sources.entries()) source.addEventListener('said', (event) => heard[i].add(JSON.parse(event.data).payload))
  const say = (what) => api(server, bearer)('POST', '/v1/topics/room/events', { event: 'said', payload: what })
  await until('all are there', async () => {
    await say('before')
    return heard.every((h) => h.has('before'))
  })
  await server.stop()
  assert.equal((await fetch(`${nginx.url}/healthz`)).status, 502, 'the proxy answers in place of the server')
  await until('all were told', () => sources.every((source) => source.readyState !== EventSource.OPEN))
  await server.restart()
  await until('all are back', async () => {
    await say('after')
    return heard.every((h) => h.has('after'))
  })
  for (const source of sources) {
    assert.notEqual(source.readyState, EventSource.CLOSED)
    source.close()
  }
})
