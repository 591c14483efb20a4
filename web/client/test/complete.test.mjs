// Completions that are cut, that change ways, and that are cancelled: the text received is the text made.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { DuckwireError, StreamError } from '../dist/index.js'
import { api, client, closeAll, cutter, kept, piece, random, seed, startServer, startUpstream, token, until } from './lib/client.mjs'
import { startProxy } from './lib/proxy.mjs'

const pieces = Array.from({ length: 200 }, (_, n) => `  ${n}: "Grüße, 世界 🦆"${n % 7 === 0 ? '\r\n\n' : ''}`)
const text = pieces.join('')

async function* spoken(pause) {
  for (const p of pieces) {
    yield piece(p)
    yield { wait: pause }
  }
  yield piece('', 'stop')
  yield 'data: [DONE]\n\n'
}

const scripts = {
  text: () => spoken(4),
  slow: () => spoken(15),
  slower: () => spoken(40),
  async *endless() {
    for (;;) {
      yield piece('and on ')
      yield { wait: 5 }
    }
  },
  async *held() {
    for (let n = 0; n < 6; n++) {
      await new Promise((resolve) => (more = resolve))
      yield piece(`${n} `)
    }
    yield piece('', 'stop')
    yield 'data: [DONE]\n\n'
  },
  async *broken() {
    yield piece('so far')
    await new Promise((resolve) => (breakOff = resolve)) // or the reset overtakes it
    yield { reset: true }
  },
  async *busy(_, requests) {
    if (requests.filter((r) => r.body.model === 'busy').length > 1) yield* scripts.text()
    else yield { status: 429, body: { error: { message: 'later', type: 'rate_limit', code: 'rate_limited' } }, headers: { 'retry-after': '1' } }
  },
}

let upstream, server, bearer, call
let more = () => {} // has the upstream of held make a piece
let breakOff = () => {} // has the upstream of broken reset its connection

before(async () => {
  upstream = await startUpstream(scripts)
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  bearer = token()
  call = api(server, bearer)
})
afterEach(closeAll)
after(async () => {
  await server?.close()
  upstream?.close()
})

const ask = (model, duckwire = {}) => ({ model, prompt: 'def f():', duckwire })
const made = () => upstream.of('text').length

test('a completion, with its progress', async () => {
  const completion = client(server.url, { token: bearer }).complete(ask('text'))
  const seen = []
  completion.onProgress((progress) => seen.push(progress))
  let got = ''
  for await (const more of completion) got += more
  assert.equal(got, text)
  assert.deepEqual([completion.status, completion.bytes, completion.ending.finish_reason], ['done', Buffer.byteLength(text), 'stop'])
  assert.deepEqual(seen.at(-1), { bytes: completion.bytes, position: completion.position, status: 'done' })
  assert.ok(seen.every(({ bytes }, i) => i === 0 || bytes >= seen[i - 1].bytes))
  assert.equal((await call('GET', `/v1/streams/${completion.id}`)).position, completion.position)
})

describe('the status is true while text flows, over cuts and for who comes in the middle', () => {
  for (const rung of ['sse', 'padded', 'longpoll']) {
    test(rung, async () => {
      const proxy = await kept(cutter(server.url, Infinity))
      const duckwire = client(proxy.url, { token: bearer, transports: [rung] })
      const seen = new Set()
      let text = ''
      const first = duckwire.complete(ask('held'))
      first.onProgress(({ status, bytes }) => bytes === 0 || status === 'done' || seen.add(status))
      const second = async () => {
        const late = duckwire.stream(first.id)
        late.onProgress(({ status, bytes }) => bytes === 0 || status === 'done' || seen.add(status))
        for await (const _ of late) if (late.status !== 'done') seen.add(late.status)
        return late.status
      }
      let other
      more()
      const release = setInterval(() => more(), 20)
      try {
        for await (const part of first) {
          text += part
          seen.add(first.status)
          if (text === '0 1 ') other = second()
          if (text === '0 1 2 ') proxy.cut()
        }
        assert.deepEqual([text, first.status, await (other ?? second())], ['0 1 2 3 4 5 ', 'done', 'done'])
      } finally {
        clearInterval(release)
      }
      assert.ok(!seen.has('queued') && seen.has('running'), `${[...seen]}`)
    })
  }
})

describe('cut at any byte', () => {
  for (const rung of ['sse', 'padded', 'longpoll']) {
    test(rung, async (t) => {
      t.diagnostic(`SEED=${seed}`)
      const pick = random()
      let cuts = 0
      for (let n = 0; n < 3; n++) {
        const room = rung === 'padded' ? 33_000 : 0
        // What a late reader is owed comes in one block: now and then a connection must live long enough for that.
        let connections = 0
        const proxy = await kept(cutter(server.url, () => (++connections % 4 === 0 ? 80_000 : 1 + room + pick(4000))))
        const before = made()
        const completion = client(proxy.url, { token: bearer, transports: [rung] }).complete(ask('text'))
        assert.equal(await completion.text(), text)
        assert.equal(made() - before, 1, 'asked for again, it is the same')
        cuts += proxy.cuts()
      }
      assert.ok(cuts > 2)
      t.diagnostic(`${cuts} cuts`)
    })
  }
})

describe('through proxies', () => {
  // What a buffer lets through for a while is found out by its silence.
  for (const [streams, model, worst] of [['hold', 'slow', 'longpoll'], ['buffer', 'slower', 'longpoll'], ['threshold', 'slow', 'padded']]) {
    test(streams, async () => {
      const proxy = await kept(startProxy(server.url, { streams }))
      const duckwire = client(proxy.url, { token: bearer, patience: { sse: 300, padded: 1000 } })
      assert.equal(await duckwire.complete(ask(model)).text(), text)
      // It is known now, so the next one does not try.
      const before = proxy.seen.length
      assert.equal(await duckwire.complete(ask('text')).text(), text)
      const streamsAsked = proxy.seen.slice(before).filter((line) => line.includes('hb='))
      if (worst === 'longpoll') assert.deepEqual(streamsAsked, [])
      else assert.ok(streamsAsked.every((line) => line.includes('pad=')))
    })
  }

  test('the way changes in the middle', async () => {
    const proxy = await kept(startProxy(server.url))
    const duckwire = client(proxy.url, { token: bearer, patience: { sse: 300, padded: 300 } })
    let got = ''
    for await (const more of duckwire.complete(ask('slow'))) {
      got += more
      if (got.length > 1000 && proxy.streams === 'pass') {
        proxy.streams = 'hold'
        proxy.cut()
      }
    }
    assert.equal(got, text)
    assert.ok(proxy.seen.some((line) => line.includes('wait=')))
  })
})

test('a server that restarts: what is kept is whole, and the end is told', async () => {
  const own = await kept(startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url }))
  const completion = client(own.url, { token: bearer }).complete(ask('endless'))
  let got = ''
  let restarts = 0
  await assert.rejects(async () => {
    for await (const more of completion) {
      got += more
      if (got.length > 500 && restarts++ === 0) await own.restart('SIGKILL') // by then it is kept
    }
  }, (error) => error instanceof StreamError && error.status === 'interrupted')
  const { text: keptText } = await api(own, bearer)('GET', `/v1/streams/${completion.id}`)
  assert.ok(got.startsWith(keptText) || keptText.startsWith(got))
})

test('cancelled: the upstream is left, and iterating ends', async () => {
  const completion = client(server.url, { token: bearer }).complete(ask('endless'))
  let got = ''
  for await (const more of completion) {
    got += more
    if (got.length > 50) assert.equal(await completion.cancel(), 'cancelled')
  }
  assert.equal(completion.status, 'cancelled')
  await until('the upstream to be left', () => upstream.of('endless').at(-1).aborted)
  assert.equal(await completion.cancel(), 'cancelled', 'again changes nothing')
})

test('cancelled before it began, it is never asked for', async () => {
  const before = made()
  const duckwire = client(server.url, { token: bearer })
  const completion = duckwire.complete(ask('text'))
  assert.equal(await completion.cancel(), 'cancelled')
  assert.equal(await completion.text(), '')
  assert.equal(await duckwire.complete(ask('text')).text(), text) // by now a request for the first would have come
  assert.equal(made() - before, 1)
})

test('an AbortSignal cancels, and its reason is thrown', async () => {
  const reason = new Error('enough')
  const abort = new AbortController()
  const completion = client(server.url, { token: bearer }).complete(ask('endless'), { signal: abort.signal })
  await assert.rejects(async () => {
    for await (const _ of completion) abort.abort(reason)
  }, reason)
  await until('the upstream to be left', () => upstream.of('endless').at(-1).aborted)
  const never = client(server.url, { token: bearer }).complete(ask('text'), { signal: abort.signal })
  await assert.rejects(never.text(), reason)
})

test('to leave is not to cancel', async () => {
  const duckwire = client(server.url, { token: bearer })
  const completion = duckwire.complete(ask('text', { keep: 'finish' }))
  let got = ''
  for await (const more of completion) {
    got += more
    if (completion.bytes > 300) break
  }
  // Another device goes on at the next byte.
  const { id, position: after, bytes } = completion
  const rest = await client(server.url, { token: bearer }).stream(id, { after, bytes }).text()
  assert.equal(got + rest, text)
  assert.equal(await duckwire.stream(id).text(), text)
  const late = duckwire.stream(id, { after: (await call('GET', `/v1/streams/${id}`)).position, bytes: Buffer.byteLength(text) })
  assert.equal(await late.text(), '')
  assert.equal(late.status, 'done')
})

test('what fails says so, behind what came before', async () => {
  const completion = client(server.url, { token: bearer }).complete(ask('broken'))
  let got = ''
  await assert.rejects(async () => {
    for await (const more of completion) {
      got += more
      breakOff()
    }
  }, (error) => error instanceof StreamError && error.status === 'failed')
  assert.equal(got, 'so far')
})

test('a newer one in its slot ends it', async () => {
  const duckwire = client(server.url, { token: bearer })
  const older = duckwire.complete(ask('endless', { slot: 'ghost' }))
  let newer
  await assert.rejects(async () => {
    for await (const _ of older) if (older.bytes > 20) newer ??= duckwire.complete(ask('text', { slot: 'ghost' })).text()
  }, { status: 'superseded' })
  assert.equal(await newer, text)
})

test('refusals', async () => {
  const duckwire = client(server.url, { token: token('bob', ['lobby=subscribe']) })
  await assert.rejects(duckwire.complete(ask('text')).text(), (error) => error instanceof DuckwireError)
  await assert.rejects(duckwire.stream('nothing').text(), { code: 'not_found' })
  await assert.rejects(client(server.url, { token: 'nonsense' }).stream('nothing').text(), DuckwireError)
})

test('a token that is not taken any longer is renewed', async () => {
  const tokens = ['nonsense', bearer]
  const duckwire = client(server.url, { token: () => tokens.shift() ?? bearer })
  assert.equal(await duckwire.complete(ask('text')).text(), text)
  assert.deepEqual(tokens, [])
})

describe('structured entries come in their places', () => {
  for (const rung of ['sse', 'longpoll']) {
    test(rung, async () => {
      const id = `places-${rung}`
      await call('POST', '/v1/streams', { id, kind: 'lint' })
      const lines = []
      for (let n = 0; n < 5; n++) lines.push({ text: `é${n}` }, { event: n === 2 ? 'end' : 'note', data: { n } })
      lines[5].event = 'message'
      await call('POST', `/v1/streams/${id}/append`, lines.map((l) => `${JSON.stringify(l)}\n`).join(''), 'application/x-ndjson')
      await call('POST', `/v1/streams/${id}/append`, '{"event":"end","status":"done"}\n', 'application/x-ndjson')
      const stream = client(server.url, { token: bearer, transports: [rung] }).stream(id)
      const told = []
      stream.onEvent(({ event, data }) => told.push(`${event} ${data.n}`))
      for await (const more of stream) told.push(more)
      assert.deepEqual(told, ['é0', 'note 0', 'é1', 'note 1', 'é2', 'message 2', 'é3', 'note 3', 'é4', 'note 4'])
    })
  }
})
