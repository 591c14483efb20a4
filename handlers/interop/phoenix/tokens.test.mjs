// The lifetime of a token, as the official client sees it on each of its transports.
//
// Only in make test-all: it needs the lives of tokens, in seconds.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { answered, collect, connect, join, transports } from '../lib/phoenix.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let server

before(async () => {
  server = await startServer()
})
after(() => server?.close())

/** renewing connects as the README describes, with a client that is told when its token expires. Others only count. */
function renewing(t, transport, bearer, freshToken) {
  const socket = connect(server.url, bearer, { transport })
  socket.told = 0
  socket.closes = []
  socket.onMessage((m) => {
    if (m.topic !== 'phoenix' || m.event !== 'token_expiring') return
    socket.told++
    if (freshToken) socket.push({ topic: 'phoenix', event: 'access_token', payload: { token: freshToken() }, ref: socket.makeRef() })
  })
  socket.onClose((event) => socket.closes.push(event.code))
  t.after(() => socket.disconnect())
  return socket
}

for (const [name, transport] of Object.entries(transports)) {
  describe(name, { concurrency: true }, () => {
    test('a token is renewed, and nothing is noticed', async (t) => {
      const short = token('ada', ['*=*'], '6s')
      const ada = renewing(t, transport, short, () => token('ada', ['kept=*']))
      const bob = renewing(t, transport, short)
      const [kept, lost] = [await join(ada, 'kept'), await join(ada, 'lost')]
      await join(bob, 'kept')
      const heard = collect(kept, 'mark')
      let reason
      lost.onClose((payload) => (reason ??= payload?.reason))
      await until('the end of who does not renew', () => bob.closes.length > 0)
      assert.equal(reason, 'forbidden')
      await answered(kept.push('mark', {}))
      await until('the mark', () => heard.length > 0)
      assert.deepEqual([ada.told, ada.closes, bob.told], [1, [], 1])
      if (transport !== transports.LongPoll) assert.equal(bob.closes[0], 4001)
    })

    test('a client that was disconnected comes back, and one whose token was revoked does not', async (t) => {
      const bearer = token(`eve-${name}`)
      const eve = renewing(t, transport, bearer)
      const channel = await join(eve, 'kept')
      const admin = api(server, token('admin'))
      await admin('POST', `/v1/users/eve-${name}/disconnect`)
      await until('the end', () => eve.closes.length === 1)
      await until('her return', () => channel.state === 'joined')
      await admin('POST', '/v1/revocations', { user: `eve-${name}` })
      await until('the end, and refusals', () => eve.closes.length > 3)
      assert.notEqual(channel.state, 'joined')
    })
  })
}
