// Tokens: renewed on an open connection, asked for again after a failure, and given up when the server rejects them.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { DuckwireError, memoryStore } from '../dist/index.js'
import { renewTokens } from '../dist/renewal.js'
import { Tokens } from '../dist/token.js'
import { client, closeAll, cutter, kept, startServer, token, until } from './lib/client.mjs'

const rungs = ['websocket', 'sse', 'longpoll']

let server, good

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000', DUCKWIRE_JOINS_PER_MINUTE: '0' })
  good = token()
})
afterEach(closeAll)
after(() => server?.close())

/** watched makes a client whose connections, refusals and calls for a token are counted. */
function watched(source, options = {}) {
  const seen = { asked: 0, opens: 0, refusals: [] }
  const duckwire = client(server.url, {
    token: typeof source === 'string' ? source : () => source(++seen.asked),
    ...options,
  })
  duckwire.onTransport(() => seen.opens++)
  duckwire.onRefused((error) => seen.refusals.push(error.code))
  return { duckwire, seen }
}

const expiry = (jwt) => JSON.parse(atob(jwt.split('.')[1])).exp * 1000

test('a token is renewed on the connection', async () => {
  await Promise.all([...rungs.map((rung) => renewed(rung)), renewedLater()])
})

/** late reports whether a machine is too busy for tokens of a life: then the test takes longer ones. */
const late = (jwt) => Date.now() > expiry(jwt) - 2000

async function renewed(rung, life = 12) {
  const short = token('ada', ['*=*'], `${life}s`)
  let busy = false
  const { duckwire, seen } = watched((n) => {
    busy ||= late(short)
    return n === 1 ? short : good
  }, { transports: [rung] })
  const channel = duckwire.channel(`renewed:${rung}`)
  await channel.join()
  await until('the first token to expire', () => Date.now() > expiry(short) + 2500)
  if (busy) return renewed(rung, 2 * life)
  await channel.send('note', {})
  assert.deepEqual([seen.asked, seen.opens, seen.refusals], [2, 1, []], rung)
}

/** renewedLater is a renewal for which the application fails first, and then returns the old token. */
async function renewedLater(life = 15) {
  const short = token('ada', ['*=*'], `${life}s`)
  let busy = false
  const { duckwire, seen } = watched((n) => {
    busy ||= late(short)
    if (n === 2) throw new Error('the network is down')
    return n <= 3 ? short : good
  }, { transports: ['websocket'] })
  const channel = duckwire.channel('renewed:later')
  await channel.join()
  await until('the token to expire', () => Date.now() > expiry(short) + 2500)
  if (busy) return renewedLater(2 * life)
  await channel.send('note', {})
  assert.deepEqual([seen.asked, seen.opens], [4, 1])
}

test('a token is renewed if less than a second is left, which the server calls 0', async () => {
  let listener, asked = 0
  const socket = {
    isConnected: () => true,
    makeRef: () => 'r',
    onMessage: (f) => (listener = f),
    push: ({ ref }) => listener({ topic: 'phoenix', event: 'phx_reply', ref, payload: { status: 'ok', response: { expires_in: 4 } } }),
  }
  renewTokens(socket, new Tokens(() => `token${++asked}`), assert.fail)
  for (const n of [1, 2]) {
    listener({ topic: 'phoenix', event: 'token_expiring', payload: { expires_in: 0 } })
    await setImmediate()
    assert.equal(asked, n)
  }
})

const garbage = ['garbage', 'a.b.c', 'what?', 'q??q??', 'zwölf', 'two words', '']

describe('a token that is rejected', () => {
  for (const transports of [undefined, ...rungs.map((rung) => [rung])]) {
    test(`is final: ${transports ?? 'all transports'}`, async () => {
      for (const bad of garbage) {
        const { duckwire, seen } = watched(bad, { transports })
        const joins = [duckwire.channel('a').join(), duckwire.channel('b').join(), duckwire.queue(() => {}).joined]
        for (const join of joins) await assert.rejects(join, (error) => error instanceof DuckwireError && error.code === 'unauthorized', bad)
        assert.deepEqual([seen.opens, seen.refusals, duckwire.refusal.code], [0, ['unauthorized'], 'unauthorized'])
        await assert.rejects(duckwire.complete({ prompt: 'x' }).text(), { code: 'unauthorized' }, bad)
        await assert.rejects(duckwire.stream('any').text(), { code: 'unauthorized' }, bad)
        assert.equal(duckwire.socket.reconnectTimer.timer, null, 'no attempt is left')
      }
    })
  }

  test('is asked for three times, where a function returns it', async () => {
    let answer = 'garbage'
    const { duckwire, seen } = watched(() => answer)
    const channel = duckwire.channel('three')
    await assert.rejects(channel.join(), { code: 'unauthorized' })
    assert.deepEqual([seen.asked, seen.refusals], [3, ['unauthorized']])
    await assert.rejects(channel.join(), { code: 'unauthorized' }, 'another join is another attempt')
    answer = good
    const asked = seen.asked
    duckwire.connect()
    await until('the join', () => channel.state === 'joined')
    await channel.join()
    assert.deepEqual([seen.asked - asked, duckwire.refusal], [1, undefined])
  })

  test('is told while there is no connection, and waiting pushes stay', async () => {
    const store = memoryStore()
    const first = watched('garbage', { store })
    const channel = first.duckwire.channel('patient')
    let ended = false
    channel.push('note', { n: 1 }).finally(() => (ended = true)).catch(() => {})
    await assert.rejects(channel.join(), { code: 'unauthorized' })
    assert.deepEqual([first.duckwire.outbox.size, ended], [1, false])
    const second = watched(good, { store })
    await second.duckwire.channel('patient').join()
    await until('the push', () => second.duckwire.outbox.size === 0)
  })

  test('is final after it was revoked, too', async () => {
    const jwt = token('eve')
    const { duckwire, seen } = watched(jwt, { user: 'eve' })
    await duckwire.channel('revoked').join()
    const { jti } = JSON.parse(atob(jwt.split('.')[1]))
    const response = await fetch(`${server.url}/v1/revocations`, {
      method: 'POST', headers: { authorization: `Bearer ${good}`, 'content-type': 'application/json' }, body: JSON.stringify(jti ? { jti } : { user: 'eve' }),
    })
    assert.ok(response.ok, await response.text())
    await until('the refusal', () => seen.refusals.length > 0)
    assert.deepEqual(seen.refusals, ['unauthorized'])
  })

  test('may be replaced in time', async () => {
    const { duckwire, seen } = watched((n) => (n < 3 ? 'garbage' : good))
    await duckwire.channel('third time').join()
    assert.deepEqual([seen.asked, seen.refusals], [3, []])
  })
})

describe('a token function that fails', () => {
  test('is called again', async () => {
    const { duckwire, seen } = watched((n) => {
      if (n < 6) throw new Error('the network is down')
      return good
    })
    await duckwire.channel('again').join()
    assert.deepEqual([seen.asked, seen.refusals], [6, []])
  })

  test('is not called again if it says so', async () => {
    const { duckwire, seen } = watched(() => {
      throw new DuckwireError('signed out', 'signed_out')
    })
    await assert.rejects(duckwire.channel('never').join(), { code: 'signed_out', message: 'signed out' })
    assert.deepEqual([seen.asked, seen.refusals], [1, ['signed_out']])
    await assert.rejects(duckwire.complete({ prompt: 'x' }).text(), { code: 'signed_out' })
  })
})

test('what is not the server\'s is no refusal', async () => {
  const portal = await kept(import('node:http').then(({ createServer }) => new Promise((resolve) => {
    const page = createServer((_req, res) => res.writeHead(403, { 'content-type': 'text/html' }).end('<p>Sign in to this network'))
    page.listen(0, '127.0.0.1', () => resolve({ url: `http://127.0.0.1:${page.address().port}`, close: () => page.close() }))
  })))
  let attempts = 0
  const duckwire = client(portal.url, { token: () => (attempts++, good) })
  const refusals = []
  duckwire.onRefused((error) => refusals.push(error))
  duckwire.connect()
  await until('several attempts', () => attempts > 5)
  assert.deepEqual(refusals, [])
})

describe('a join that is refused for good', () => {
  test('fails, and its pushes with it', async () => {
    const { duckwire } = watched(token('bob', ['lobby=subscribe']), { user: 'bob' })
    const drops = []
    duckwire.outbox.onDrop(({ event }, { code }) => drops.push([event, code]))
    const channel = duckwire.channel('secret')
    const ends = []
    channel.onEnd((error) => ends.push(error?.code))
    const early = channel.push('early', {})
    early.catch(() => {})
    await assert.rejects(channel.join(), { code: 'forbidden' })
    await assert.rejects(early, { code: 'forbidden' })
    await assert.rejects(channel.push('late', {}), { code: 'forbidden' })
    await assert.rejects(channel.join(), { code: 'forbidden' })
    assert.deepEqual([ends, drops, duckwire.outbox.size], [['forbidden'], [['early', 'forbidden']], 0])
  })

  test('also after a reconnect: the application is told', async () => {
    const proxy = await kept(cutter(server.url, Infinity))
    let bearer = token('bob', ['lobby=subscribe'])
    const duckwire = client(proxy.url, { token: () => bearer, user: 'bob' })
    const channel = duckwire.channel('lobby')
    const ends = []
    channel.onEnd((error) => ends.push(error?.code))
    await channel.join()
    bearer = token('bob', ['hall=subscribe'])
    proxy.cut()
    await until('the end', () => ends.length > 0)
    assert.deepEqual(ends, ['forbidden'])
  })
})
