// The OpenAI-compatible paths, called by the official SDK, in front of an upstream that sends every kind of answer that
// real upstreams send.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import OpenAI, { APIError, APIUserAbortError, AuthenticationError, BadRequestError, InternalServerError, NotFoundError, RateLimitError } from 'openai'
import { api, startServer, token } from './lib/server.mjs'
import { chunk, delta, piece, startUpstream, usage } from './lib/upstream.mjs'
import { hung, until, within } from './lib/wait.mjs'

const DONE = 'data: [DONE]\n\n'
const call = (args, more) => ({ tool_calls: [{ index: 0, ...more, function: { ...(more ? { name: 'edit' } : {}), arguments: args } }] })
const second = { index: 1, id: 'call_2', type: 'function', function: { name: 'run', arguments: '{}' } }

const scripts = {
  async *plain() {
    yield delta({ role: 'assistant', content: '' })
    for (const text of ['Grüße', ', ', '世界 🦆\r\n', 'bye']) yield delta({ content: text })
    yield delta({}, { finish: 'stop' })
    yield chunk([], { usage })
    yield DONE
  },
  async *tools() {
    yield delta({ role: 'assistant', content: null })
    yield delta(call('', { id: 'call_1', type: 'function' }))
    yield delta(call('{"path":'))
    yield delta(call('"a.go"}'))
    yield delta({ tool_calls: [second] })
    yield delta({}, { finish: 'tool_calls' })
    yield chunk([], { usage })
    yield DONE
  },
  async *choices() {
    for (const index of [0, 1]) yield delta({ role: 'assistant', content: '' }, { index })
    yield delta({ content: 'left' }, { index: 0 })
    yield delta({ content: 'right' }, { index: 1 })
    yield delta({}, { index: 1, finish: 'length' })
    yield delta({}, { index: 0, finish: 'stop' })
    yield DONE
  },
  async *reasoning() {
    yield delta({ role: 'assistant', content: '', reasoning_content: 'hmm' })
    yield delta({ reasoning_content: ', so' })
    yield { ...delta({ content: '42', annotations: [{ kind: 'new' }] }, { probability: 0.5 }), provider: { name: 'us', '<': 'a & b' } }
    yield delta({}, { finish: 'stop' })
    yield DONE
  },
  async *text() {
    yield piece('a + ')
    yield piece('b')
    yield piece('', 'stop')
    yield { ...piece(''), choices: [], usage }
    yield DONE
  },
  async *unfinished() { // some upstreams never say [DONE]
    yield delta({ content: 'all' })
    yield delta({}, { finish: 'stop' })
  },
  async *truncated() {
    yield delta({ content: 'half' })
  },
  async *broken() {
    yield delta({ content: 'half' })
    await new Promise((resolve) => (breakOff = resolve)) // or the reset overtakes it
    yield { reset: true }
  },
  async *failing() {
    yield delta({ content: 'half' })
    yield { error: { message: 'the GPU is on fire', type: 'server_error', param: null, code: 'on_fire' } }
  },
  async *refusing() {
    yield { status: 400, body: { error: { message: 'too many tokens', type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' } } }
  },
  async *limited() {
    yield { status: 429, headers: { 'retry-after': '60' }, body: { error: { message: 'slow down', type: 'tokens', param: null, code: 'rate_limit_exceeded' } } }
  },
  async *down() {
    yield { status: 500, body: { error: { message: 'oops', type: 'server_error', param: null, code: null } } }
  },
  async *flaky(_, requests) { // two refusals, then an answer
    if (requests.filter((r) => r.body.model === 'flaky').length <= 2) yield* scripts.down()
    else yield* scripts.plain()
  },
  async *endless() {
    for (let n = 0; ; n++) {
      yield delta({ content: `${n} ` })
      yield { wait: 20 }
    }
  },
  async *slow() {
    yield delta({ content: 'wait' })
    yield { wait: 2500 }
    yield delta({ content: ' for it' })
    yield delta({}, { finish: 'stop' })
    yield DONE
  },
}

let upstream, server, client, rest
let breakOff = () => {} // has the upstream of broken reset its connection
const messages = [{ role: 'user', content: 'hello' }]

before(async () => {
  upstream = await startUpstream(scripts)
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_HEARTBEAT: '1s' })
  const bearer = token()
  client = connect(bearer)
  rest = api(server, bearer)
})
after(async () => {
  await server?.close()
  upstream?.close()
})

const connect = (apiKey, options) => new OpenAI({ apiKey, baseURL: `${server.url}/v1`, maxRetries: 0, timeout: hung, ...options })

/** collect reads a stream of chunks until its end. */
async function collect(stream) {
  const chunks = []
  for await (const c of stream) chunks.push(c)
  return chunks
}

const chat = (model, more) => client.chat.completions.create({ model, messages, ...more })
const stream = (model, more) => chat(model, { stream: true, ...more })
const textOf = (chunks, index = 0) => chunks.flatMap((c) => c.choices).filter((c) => c.index === index).map((c) => c.delta.content ?? '').join('')

describe('chat', () => {
  test('streaming', async () => {
    const { data, response } = await stream('plain').withResponse()
    assert.match(response.headers.get('content-type'), /^text\/event-stream/)
    assert.equal(response.headers.get('location'), `/v1/streams/${response.headers.get('duckwire-stream')}`)
    const chunks = await collect(data)
    assert.equal(textOf(chunks), 'Grüße, 世界 🦆\r\nbye')
    assert.deepEqual([...new Set(chunks.map((c) => c.object))], ['chat.completion.chunk'])
    assert.equal(new Set(chunks.map((c) => `${c.id} ${c.created} ${c.model}`)).size, 1, 'id, created and model are the same in all')
    assert.deepEqual(chunks.flatMap((c) => c.choices).map((c) => c.delta.role).filter(Boolean), ['assistant'])
    assert.deepEqual(chunks.at(-1).choices[0].delta, {})
    assert.deepEqual(chunks.map((c) => c.choices[0].finish_reason).filter(Boolean), ['stop'])
    assert.ok(chunks.every((c) => !c.usage), 'no usage unless asked for')
  })

  test('streaming with usage', async () => {
    const chunks = await collect(await stream('plain', { stream_options: { include_usage: true } }))
    const last = chunks.at(-1)
    assert.deepEqual(last.choices, [])
    assert.deepEqual(last.usage, usage)
    assert.ok(chunks.slice(0, -1).every((c) => c.usage === null && c.choices.length === 1))
  })

  test('not streaming', async () => {
    const whole = await chat('plain')
    assert.equal(whole.object, 'chat.completion')
    assert.deepEqual(whole.choices.map((c) => [c.index, c.message.role, c.message.content, c.finish_reason]), [[0, 'assistant', 'Grüße, 世界 🦆\r\nbye', 'stop']])
    assert.deepEqual(whole.usage, usage)
    assert.equal(whole.model, 'up-1')
  })

  test('the helper .stream()', async () => {
    const runner = client.chat.completions.stream({ model: 'plain', messages })
    let content = ''
    runner.on('content', (part) => (content += part))
    assert.equal(await runner.finalContent(), 'Grüße, 世界 🦆\r\nbye')
    assert.equal(content, 'Grüße, 世界 🦆\r\nbye')
  })

  test('fields that nobody knows reach the upstream', async () => {
    const more = { temperature: 0.25, brand_new: { deep: [1, '<&>', null] }, max_completion_tokens: 5, tools: [{ type: 'function', function: { name: 'edit' } }] }
    await chat('plain', more)
    const { body } = upstream.of('plain').at(-1)
    for (const [name, value] of Object.entries(more)) assert.deepEqual(body[name], value, name)
    assert.deepEqual(body.messages, messages)
  })

  test('our own fields do not', async () => {
    await chat('plain', { duckwire: { slot: 'main' } })
    assert.equal('duckwire' in upstream.of('plain').at(-1).body, false)
  })
})

describe('what is more than text', () => {
  const calls = [
    { id: 'call_1', type: 'function', function: { name: 'edit', arguments: '{"path":"a.go"}' } },
    { id: 'call_2', type: 'function', function: { name: 'run', arguments: '{}' } },
  ]

  test('tool calls, streaming', async () => {
    const chunks = await collect(await stream('tools'))
    const sent = []
    for await (const step of scripts.tools()) if (step.choices?.[0]?.delta.tool_calls) sent.push(step.choices[0].delta.tool_calls)
    assert.deepEqual(chunks.map((c) => c.choices[0]?.delta.tool_calls).filter(Boolean), sent, 'pieces as the upstream made them')
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls')
  })

  test('tool calls, folded by the helper and by the server', async () => {
    const final = await client.chat.completions.stream({ model: 'tools', messages }).finalChatCompletion()
    const ofHelper = final.choices[0].message.tool_calls.map(({ id, type, function: f }) => ({ id, type, function: { name: f.name, arguments: f.arguments } }))
    assert.deepEqual(ofHelper, calls)
    const whole = await chat('tools')
    assert.deepEqual(whole.choices[0].message.tool_calls, calls)
    assert.equal(whole.choices[0].message.content, null)
    assert.equal(whole.choices[0].finish_reason, 'tool_calls')
  })

  test('several choices', async () => {
    const chunks = await collect(await stream('choices', { n: 2 }))
    assert.deepEqual([textOf(chunks, 0), textOf(chunks, 1)], ['left', 'right'])
    const finishes = chunks.flatMap((c) => c.choices).filter((c) => c.finish_reason).map((c) => [c.index, c.finish_reason])
    assert.deepEqual(finishes.sort(), [[0, 'stop'], [1, 'length']])
    const whole = await chat('choices', { n: 2 })
    assert.deepEqual(whole.choices.map((c) => [c.index, c.message.content, c.finish_reason]), [[0, 'left', 'stop'], [1, 'right', 'length']])
  })

  test('reasoning and unknown members', async () => {
    const chunks = await collect(await stream('reasoning'))
    assert.equal(chunks.map((c) => c.choices[0]?.delta.reasoning_content ?? '').join(''), 'hmm, so')
    const odd = chunks.find((c) => c.provider)
    assert.deepEqual(odd.provider, { name: 'us', '<': 'a & b' })
    assert.deepEqual(odd.choices[0].delta.annotations, [{ kind: 'new' }])
    assert.equal(odd.choices[0].probability, 0.5)
    const whole = await chat('reasoning')
    assert.equal(whole.choices[0].message.reasoning_content, 'hmm, so')
    assert.equal(whole.choices[0].message.content, '42')
  })
})

describe('text completions', () => {
  test('prompt and suffix', async () => {
    const chunks = await collect(await client.completions.create({ model: 'text', prompt: 'return ', suffix: '\n}', stream: true }))
    assert.equal(chunks.map((c) => c.choices[0]?.text ?? '').join(''), 'a + b')
    assert.deepEqual([...new Set(chunks.map((c) => c.object))], ['text_completion'])
    assert.deepEqual(chunks.map((c) => c.choices[0].finish_reason).filter(Boolean), ['stop'])
    const { body, path } = upstream.of('text').at(-1)
    assert.deepEqual([path, body.prompt, body.suffix], ['/v1/completions', 'return ', '\n}'])
  })

  test('not streaming', async () => {
    const whole = await client.completions.create({ model: 'text', prompt: 'return ', suffix: '\n}' })
    assert.equal(whole.object, 'text_completion')
    assert.deepEqual([whole.choices[0].text, whole.choices[0].finish_reason], ['a + b', 'stop'])
    assert.deepEqual(whole.usage, usage)
  })
})

test('models.list', async () => {
  const models = await collect(client.models.list())
  assert.ok(models.some((m) => m.id === 'up-1' && m.object === 'model'), JSON.stringify(models))
})

describe('errors before the stream', () => {
  const fails = (call, Class, more) =>
    assert.rejects(call, (error) => {
      assert.ok(error instanceof Class, `${error.constructor.name}: ${error.message}`)
      for (const [name, value] of Object.entries(more)) assert.deepEqual(error[name], value, name)
      return true
    })

  for (const mode of ['streaming', 'not streaming']) {
    const create = (model) => chat(model, { stream: mode === 'streaming' })

    test(`401, ${mode}`, async () => {
      const stranger = connect('nonsense')
      await fails(stranger.chat.completions.create({ model: 'plain', messages, stream: mode === 'streaming' }), AuthenticationError, { status: 401 })
    })
    test(`400 of ours, ${mode}`, async () => {
      await fails(chat('plain', { messages: 'no list', stream: mode === 'streaming' }), BadRequestError, { status: 400, param: 'messages', type: 'invalid_request_error' })
    })
    test(`400 of the upstream's, ${mode}`, async () => {
      await fails(create('refusing'), BadRequestError, { status: 400, code: 'context_length_exceeded', param: 'messages', type: 'invalid_request_error' })
    })
    test(`404, ${mode}`, async () => {
      await fails(create('no-such-model'), NotFoundError, { status: 404, code: 'model_not_found', param: 'model' })
    })
    test(`429, ${mode}`, async () => {
      await assert.rejects(create('limited'), (error) => {
        assert.ok(error instanceof RateLimitError, String(error))
        assert.equal(error.code, 'rate_limit_exceeded')
        assert.ok(Number(error.headers.get('retry-after')) >= 60, `retry-after ${error.headers.get('retry-after')}`)
        return true
      })
    })
    test(`500, ${mode}`, async () => {
      await fails(create('down'), InternalServerError, {})
    })
  }

  test('an answer that broke off, not streaming', async () => {
    await fails(chat('truncated'), InternalServerError, { status: 502, code: 'upstream_truncated' })
  })

  test('a retry by the SDK gets its answer', async () => {
    const stubborn = connect(token(), { maxRetries: 5 })
    const whole = await stubborn.chat.completions.create({ model: 'flaky', messages })
    assert.equal(whole.choices[0].message.content, 'Grüße, 世界 🦆\r\nbye')
  })
})

describe('errors in the stream', () => {
  for (const [model, code, message] of [
    ['failing', 'on_fire', /the GPU is on fire/],
    ['truncated', 'upstream_truncated', /did not finish/],
    ['broken', 'upstream_truncated', /did not finish/],
  ]) {
    test(`${model}: what came is kept, and the error thrown`, async () => {
      const chunks = []
      await assert.rejects(
        async () => {
          for await (const c of await stream(model)) {
            chunks.push(c)
            if (textOf([c])) breakOff()
          }
        },
        (error) => {
          assert.ok(error instanceof APIError, String(error))
          assert.equal(error.code, code)
          assert.match(error.message, message)
          return true
        },
      )
      assert.equal(textOf(chunks), 'half')
      const runner = client.chat.completions.stream({ model, messages })
      runner.on('content', () => breakOff())
      await assert.rejects(runner.finalContent(), APIError)
    })
  }

  test('an upstream that never says [DONE] but finished', async () => {
    const chunks = await collect(await stream('unfinished'))
    assert.equal(textOf(chunks), 'all')
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop')
  })

  test('heartbeats in a silence', async () => {
    const chunks = await collect(await stream('slow'))
    assert.equal(textOf(chunks), 'wait for it')
  })
})

describe('leaving', () => {
  const first = async (running) => {
    for await (const c of running) if (textOf([c])) return
  }

  test('an abort reaches the upstream when the keep time is over', async () => {
    const { data, response } = await stream('endless', { duckwire: { keep: { cancel_after: 0.2 } } }).withResponse()
    const state = () => rest('GET', response.headers.get('location'))
    let left
    for await (const c of data) {
      if (!textOf([c])) continue
      left = Date.now()
      data.controller.abort()
    }
    await until('the upstream sees it', () => upstream.of('endless').at(-1).aborted)
    assert.ok(Date.now() - left >= 200, `after ${Date.now() - left} ms it was too early`)
    assert.equal((await state()).status, 'cancelled')
  })

  test('so does an abort of a request that does not stream', async () => {
    const controller = new AbortController()
    const before = upstream.of('endless').length
    const request = { model: 'endless', messages, duckwire: { keep: { cancel_after: 0.1 } } }
    const waiting = assert.rejects(client.chat.completions.create(request, { signal: controller.signal }), APIUserAbortError)
    await until('the upstream is asked', () => upstream.of('endless').length > before)
    controller.abort()
    await waiting
    await until('the upstream sees it', () => upstream.of('endless').at(-1).aborted)
  })

  test('and a break out of the loop', async () => {
    await first(await stream('endless', { duckwire: { keep: { cancel_after: 0.1 } } }))
    await until('the upstream sees it', () => upstream.of('endless').at(-1).aborted)
  })

  test('DELETE ends the stream for who reads it', async () => {
    const { data, response } = await stream('endless').withResponse()
    const ending = assert.rejects(collect(data), (error) => error instanceof APIError && error.code === 'cancelled')
    const state = await rest('DELETE', response.headers.get('location'))
    assert.equal(state.status, 'cancelled')
    await within(hung, 'the error', ending)
    await until('the upstream sees it', () => upstream.of('endless').at(-1).aborted)
  })

  test('keep "finish" finishes', async () => {
    const { data, response } = await stream('slow', { duckwire: { keep: 'finish' } }).withResponse()
    await first(data)
    const state = await until('the end', async () => {
      const s = await rest('GET', response.headers.get('location'))
      return s.status === 'done' && s
    })
    assert.equal(state.text, 'wait for it')
  })
})

test('the same id is never a second bill', async () => {
  const before = upstream.of('slow').length
  const ask = () => stream('slow', { duckwire: { id: 'once' } })
  const answers = await Promise.all([ask(), ask()].map(async (s) => textOf(await collect(await s))))
  answers.push(textOf(await collect(await ask())))
  assert.deepEqual(answers, Array(3).fill('wait for it'))
  assert.equal(upstream.of('slow').length, before + 1)
})

test('two completions in one slot: the newer ends the older', async () => {
  const old = collect(await stream('endless', { duckwire: { slot: 'editor' } }))
  const ending = assert.rejects(old, (error) => error instanceof APIError && error.code === 'superseded')
  assert.equal(textOf(await collect(await stream('plain', { duckwire: { slot: 'editor' } }))), 'Grüße, 世界 🦆\r\nbye')
  await within(hung, 'the older one\'s end', ending)
})
