// Completions that are requested and streamed on code:project:ID.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { cutter } from '../lib/cutter.mjs'
import { answered, collect, connect, disconnect, join, transports } from '../lib/phoenix.mjs'
import { quick } from '../lib/quick.mjs'
import { random, seed } from '../lib/random.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { piece, startUpstream } from '../lib/upstream.mjs'
import { until } from '../lib/wait.mjs'

const CUTS = quick ? 20 : 100

const pieces = Array.from({ length: 200 }, (_, n) => `  ${n}: "Grüße, 世界 🦆"${n % 7 === 0 ? '\r\n\n' : ''}`)
const text = pieces.join('')

const scripts = {
  async *text() {
    for (const p of pieces) {
      yield piece(p)
      yield { wait: 2 }
    }
    yield piece('', 'stop')
    yield 'data: [DONE]\n\n'
  },
  /** paced goes on until no connection is cut any longer. */
  async *paced(body) {
    const name = body.prompt.match(/name: (\S+)/)[1]
    for (let n = 0; !paced.healed || n < 20; n++) {
      const p = `${n}: "Grüße, 世界 🦆"\n`
      paced.texts[name] = (paced.texts[name] ?? '') + p
      yield piece(p)
      yield { wait: 2 }
    }
    yield piece('', 'stop')
    yield 'data: [DONE]\n\n'
  },
  async *endless() {
    for (;;) {
      yield piece('and on ')
      yield { wait: 5 }
    }
  },
}

const paced = { healed: false, texts: {} }

let upstream, server, bearer, call
const open = []

before(async () => {
  upstream = await startUpstream(scripts)
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_CONNECTIONS_PER_USER: '100000' })
  bearer = token()
  call = api(server, bearer)
})
afterEach(() => Promise.all(open.splice(0).map((o) => (o.close ? o.close() : disconnect(o)))))
after(async () => {
  await server?.close()
  upstream?.close()
})

const request = (model, more) => ({
  code: 'def f():\n    \n\nf()\n', cursor_position: { line: 2, column: 4 }, file_type: 'python', model, ...more,
})

/** kept returns the text according to the REST interface. */
const kept = async (id) => (await call('GET', `/v1/streams/${id}`)).text

/** Telling assembles a completion from its events, and compares each event with the previous ones. */
class Telling {
  text = ''
  position = ''
  done = []
  failed = []
  #bytes = 0

  constructor(channel) {
    channel.on('completion_chunk', ({ completion_id: id, chunk, at, position }) => {
      this.id ??= id
      assert.equal(id, this.id)
      assert.equal(at, this.#bytes, 'the byte at which a chunk begins')
      this.text += chunk
      this.#bytes += Buffer.byteLength(chunk)
      this.position = position
    })
    this.done = collect(channel, 'completion_done')
    this.failed = collect(channel, 'completion_error')
  }

  async end() {
    await until('the end', () => this.done.length + this.failed.length > 0)
  }
}

for (const [name, transport] of Object.entries(transports)) {
  describe(name, () => {
    async function enter(url, params) {
      const socket = connect(url, bearer, { transport })
      open.push(socket)
      return join(socket, 'code:project:1', params)
    }

    test('is streamed, and kept', async () => {
      const channel = await enter(server.url)
      const got = new Telling(channel)
      const { completion_id: id } = await answered(channel.push('request_completion', request('text')))
      await got.end()
      assert.deepEqual([got.id, got.text, got.failed], [id, text, []])
      const [{ completion_id: doneId, result }] = got.done
      assert.deepEqual([doneId, result.status], [id, 'completed'])
      assert.equal(await kept(id), text)
      const { prompt, suffix } = upstream.of('text').at(-1).body
      assert.deepEqual([prompt, suffix], ['def f():\n    ', '\n\nf()\n'])
    })

    test('goes on after each cut', async (t) => {
      t.diagnostic(`SEED=${seed}`)
      const pick = random()
      const proxy = await cutter(server.url, () => 1 + pick(10_000))
      open.push(proxy)
      const socket = connect(proxy.url, bearer, { transport })
      open.push(socket)
      const channel = socket.channel('code:project:1')
      const got = new Telling(channel)
      const ids = new Set()
      // A request with the same id attaches to the same completion, at this client's position.
      channel.join().receive('ok', () => {
        const asked = request('text', { id: `cut-${name}`, ...(got.position && { after: got.position }) })
        channel.push('request_completion', asked).receive('ok', ({ completion_id: id }) => ids.add(id))
      })
      await got.end()
      assert.deepEqual([got.text, got.failed], [text, []])
      await until('an answer', () => ids.size > 0)
      assert.deepEqual([...ids], [got.id])
      assert.equal(await kept(got.id), text)
      t.diagnostic(`${proxy.cuts()} cuts`)
    })

    test(`goes on by itself over ${CUTS} cuts`, async (t) => {
      t.diagnostic(`SEED=${seed}`)
      const pick = random()
      Object.assign(paced, { healed: false, texts: {} })
      const proxy = await cutter(server.url, () => (paced.healed ? Infinity : 1 + pick(8000)))
      open.push(proxy)
      const socket = connect(proxy.url, bearer, { transport })
      open.push(socket)

      // As the README shows it.
      let after = 'now'
      const channel = socket.channel('code:project:2', () => ({ after }))
      channel.onMessage = (event, payload, ref) => {
        if (ref && !/^(phx|chan_reply)_/.test(event)) after = ref
        return payload
      }
      const asked = Object.fromEntries([1, 2].map((n) => [`${name}-${n}`, { text: '', bytes: 0, started: 0, ends: [] }]))
      channel.join().receive('ok', ({ recovered, position }) => {
        assert.equal(recovered, true)
        after = position
        for (const [id, { heard, started }] of Object.entries(asked)) {
          if (!heard && !started) ask(id) // the push was cut, or its answer was
        }
      })
      function ask(id) {
        const code = `name: ${id}\n`
        channel
          .push('request_completion', { ...request('paced'), id, keep: 'finish', code, cursor_position: { line: 2, column: 0 } })
          .receive('ok', (reply) => {
            assert.equal(reply.id, id)
            asked[id].heard = true
          })
      }
      channel.on('completion_started', ({ id }) => asked[id].started++)
      channel.on('completion_chunk', ({ id, chunk, at }) => {
        const got = asked[id]
        assert.equal(at, got.bytes, `the byte at which a chunk of ${id} begins`)
        got.text += chunk
        got.bytes += Buffer.byteLength(chunk)
      })
      for (const event of ['completion_done', 'completion_error']) channel.on(event, ({ id }) => asked[id].ends.push(event))

      await until('the cuts', () => proxy.cuts() >= CUTS)
      paced.healed = true
      proxy.cut()
      await until('both ends', () => Object.values(asked).every(({ ends }) => ends.length > 0))
      for (const [id, { text, started, ends }] of Object.entries(asked)) {
        assert.equal(text, paced.texts[id])
        assert.deepEqual([started, ends], [1, ['completion_done']])
      }
      t.diagnostic(`${proxy.cuts()} cuts, ${Object.values(asked).map(({ bytes }) => bytes)} bytes`)
    })

    test('is cancelled', async () => {
      const channel = await enter(server.url)
      const got = new Telling(channel)
      const { completion_id: id } = await answered(channel.push('request_completion', request('endless')))
      await until('some text', () => got.text !== '')
      await answered(channel.push('cancel_completion', { completion_id: id }))
      await got.end()
      assert.deepEqual(got.done, [])
      assert.deepEqual(got.failed.map((e) => [e.completion_id, e.error]), [[id, 'cancelled']])
      await until('the upstream to be left', () => upstream.of('endless').at(-1).aborted)
      assert.equal(await kept(id), got.text)
    })
  })
}
