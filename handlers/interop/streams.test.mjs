// GET /v1/streams/ID, read by other people's clients over a connection that is cut at every byte.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { clients } from './lib/clients.mjs'
import { answer, cutter } from './lib/cutter.mjs'
import { api, startServer, token } from './lib/server.mjs'
import { quick } from './lib/quick.mjs'
import { each, hung, sleep, within } from './lib/wait.mjs'

// Number of concurrent readers: each waits some seconds before it reconnects, so many must wait at the same time.
const WIDTH = 400

let server, bearer, call

before(async () => {
  server = await startServer({ DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  bearer = token()
  call = api(server, bearer)
})
after(() => server?.close())

// Text in pieces with all widths of UTF-8 and all line ends. There are events between the pieces, so that they are
// separate blocks even for a reader that receives them all at once.
const pieces = ['def add(a, b):\n', '    return a + b  # ½ Grüße\r\n', '日本語\r', '🦆🦆', '\n\n', ': data: x\n\nid: 7\n']
const text = pieces.join('')

/** append appends the pieces from one number to another, each followed by a note. */
async function append(id, from, to) {
  const lines = pieces.slice(from, to).map((piece, i) => `${JSON.stringify({ text: piece })}\n${JSON.stringify({ event: 'note', data: { n: from + i } })}\n`)
  await call('POST', `/v1/streams/${id}/append`, lines.join(''), 'application/x-ndjson')
}

const end = (id) => call('POST', `/v1/streams/${id}/append`, '{"event":"end","status":"done"}\n', 'application/x-ndjson')

/** transcript records what a reader receives, and fails if that is wrong. */
function transcript() {
  const got = { text: '', notes: [], status: undefined }
  let bytes = 0
  let fault
  return {
    got,
    event(name, data) {
      try {
        assert.equal(got.status, undefined, `${name} after the end`)
        const value = JSON.parse(data)
        switch (name) {
          case 'chunk':
            assert.equal(value.at, bytes, 'the byte at which a chunk begins')
            bytes += Buffer.byteLength(value.text)
            got.text += value.text
            break
          case 'note':
            got.notes.push(value.n)
            break
          case 'end':
            got.status = value.status
            break
          default:
            assert.equal(name, 'hello')
            assert.equal(value.recovered, true)
        }
      } catch (error) {
        fault ??= error
      }
    },
    check() {
      if (fault) throw fault
      assert.deepEqual(got, { text, notes: pieces.map((_, i) => i), status: 'done' })
    },
  }
}

/** readCut reads a stream to its end, cut after some bytes, and returns what the first connection received. */
async function readCut(client, id, cut, options) {
  const proxy = await cutter(server.url, cut, options)
  const reader = transcript()
  try {
    await within(150_000, `${client.name}, cut after ${cut} bytes`, client.read(`${proxy.url}/v1/streams/${id}`, bearer, reader))
    const sent = proxy.sent()
    return { check: reader.check, sent, requests: proxy.requests() }
  } catch (error) {
    throw new Error(`${error.message}; got ${JSON.stringify(reader.got)} on ${proxy.requests().length} requests`)
  } finally {
    proxy.close()
  }
}

/**
 * Two clients have faults that a server cannot work around:
 * - fetch-event-source uses an id as soon as it has read its line. If it is cut before the following empty line, it
 *   loses the block.
 * - Node 20's EventSource (undici 6) gives up if a connection is cut before the header of a response is complete,
 *   though WHATWG HTML §9.2.3 requires it to reconnect.
 */
function ownFault(client, sent) {
  const { body, inHead } = answer(sent)
  return (client === clients.microsoft && /\nid: [^\n]+\n$/.test(body.toString('latin1'))) || (client === clients.node && inHead)
}

/**
 * cutEverywhere reads a stream once for each number of bytes from 0 to below n (with make test for each 23rd), and
 * fails with all cuts that led to a fault. It returns the number of cuts that led to a known fault of the client.
 */
async function cutEverywhere(client, id, n, options) {
  let own = 0
  const step = quick ? 23 : 1
  const cuts = Array.from({ length: Math.ceil(n / step) }, (_, i) => i * step)
  const errors = await each(cuts, WIDTH, async (cut) => {
    const { check, sent } = await readCut(client, id, cut, options)
    if (ownFault(client, sent)) {
      own++
      return
    }
    try {
      check()
    } catch (error) {
      throw new Error(`cut after ${cut} bytes, behind ${JSON.stringify(sent.subarray(-40).toString('latin1'))}: ${error.message}`)
    }
  })
  assert.equal(errors.length, 0, `${errors.length} of ${n} cuts went wrong, such as:\n${errors.slice(0, 3).map((e) => e.message).join('\n')}`)
  return own
}

describe('a finished stream, cut at every byte', { concurrency: true }, () => {
  const id = 'finished'
  before(async () => {
    await call('POST', '/v1/streams', { id })
    await append(id, 0, pieces.length)
    await end(id)
  })

  for (const [name, client] of Object.entries(clients)) {
    test(client.name, async (t) => {
      const whole = await readCut(client, id, Infinity)
      whole.check()
      t.diagnostic(`${whole.sent.length} bytes`)
      const own = await cutEverywhere(client, id, whole.sent.length)
      // Each text, each note and the end has an id, and one cut is after each.
      if (client === clients.microsoft && !quick) assert.equal(own, 2 * pieces.length + 1, 'cuts behind an id')
      if (client === clients.npm) assert.equal(own, 0)
    })
    // After an HTTP/1.0 proxy a cut looks like a clean end, after which fetch-event-source does not reconnect.
    if (client === clients.microsoft) continue
    test(`${client.name}, through HTTP/1.0`, async () => {
      const whole = await readCut(client, id, Infinity, { http10: true })
      whole.check()
      await cutEverywhere(client, id, whole.sent.length, { http10: true })
    })
  }
})

describe('a running stream, cut at every byte', { concurrency: true }, () => {
  for (const [name, client] of Object.entries(clients)) {
    test(client.name, async () => {
      const id = `running-${name}`
      await call('POST', '/v1/streams', { id })
      await append(id, 0, 1)
      // Readers connect, are cut and reconnect while the stream is written. They receive at least as many blocks as a
      // reader that connects at the end.
      const reading = cutEverywhere(client, id, 1600)
      for (let i = 1; i < pieces.length; i++) {
        await sleep(400)
        await append(id, i, i + 1)
      }
      await sleep(400)
      await end(id)
      await reading
    })
  }
})

describe('a stream that ended', { concurrency: true }, () => {
  for (const [name, client] of Object.entries(clients)) {
    test(`${client.name} stops, and does not come back`, async () => {
      const id = `ended-${name}`
      await call('POST', '/v1/streams', { id })
      await append(id, 0, pieces.length)
      await end(id)
      const proxy = await cutter(server.url, Infinity)
      const reader = transcript()
      try {
        await within(hung, client.name, client.read(`${proxy.url}/v1/streams/${id}`, bearer, reader))
        reader.check()
        const requests = proxy.requests().length
        assert.ok(requests <= 2, `${requests} requests`) // the second one meets 204
        await sleep(1500)
        assert.equal(proxy.requests().length, requests)
      } finally {
        proxy.close()
      }
    })
  }
})

for (const [name, client] of Object.entries(clients)) {
  test(`${client.name} is told a lost position`, async () => {
    const id = `lost-${name}`
    await call('POST', '/v1/streams', { id })
    await append(id, 0, pieces.length)
    await end(id)
    const seen = []
    const all = transcript()
    const on = {
      event(event, data) {
        seen.push(event)
        if (event === 'hello') assert.equal(JSON.parse(data).recovered, false)
        else if (event === 'reset') assert.equal(JSON.parse(data).reason, 'epoch')
        else all.event(event, data)
      },
    }
    await within(hung, client.name, client.read(`${server.url}/v1/streams/${id}?after=elsewhere.3`, bearer, on))
    assert.deepEqual(seen.slice(0, 3), ['hello', 'reset', 'chunk'])
    all.check()
  })
}
