// The OpenAI-compatible paths with clients that are not OpenAI's: Continue's stream reader, and the AI SDK.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { streamSse } from '@continuedev/fetch'
import { generateText, streamText, tool } from 'ai'
import { z } from 'zod'
import { startServer, token } from './lib/server.mjs'
import { chunk, delta, piece, startUpstream, usage } from './lib/upstream.mjs'

const DONE = 'data: [DONE]\n\n'
const text = 'Grüße, 世界 🦆\r\nbye'

const scripts = {
  async *plain() {
    yield delta({ role: 'assistant', content: '' })
    for (const part of ['Grüße, ', '世界 🦆\r\n', 'bye']) {
      yield delta({ content: part })
      yield { wait: 30 }
    }
    yield delta({}, { finish: 'stop' })
    yield chunk([], { usage })
    yield DONE
  },
  async *silent() { // long enough for heartbeats in the middle
    yield delta({ content: text.slice(0, 3) })
    yield { wait: 2500 }
    yield delta({ content: text.slice(3) })
    yield delta({}, { finish: 'stop' })
    yield DONE
  },
  async *text() {
    yield piece('a + ')
    yield piece('b')
    yield piece('', 'stop')
    yield DONE
  },
  async *failing() {
    yield delta({ content: 'half' })
    yield { error: { message: 'the GPU is on fire', type: 'server_error', param: null, code: 'on_fire' } }
  },
  async *truncated() {
    yield delta({ content: 'half' })
  },
  async *tools() {
    yield delta({ role: 'assistant', content: null, reasoning_content: 'a sum' })
    yield delta({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'add', arguments: '' } }] })
    yield delta({ tool_calls: [{ index: 0, function: { arguments: '{"a":1,' } }] })
    yield delta({ tool_calls: [{ index: 0, function: { arguments: '"b":2}' } }] })
    yield delta({}, { finish: 'tool_calls' })
    yield DONE
  },
}

let upstream, server, bearer
before(async () => {
  upstream = await startUpstream(scripts)
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_HEARTBEAT: '1s' })
  bearer = token()
})
after(async () => {
  await server?.close()
  upstream?.close()
})

describe("Continue's streamSse", () => {
  /** ask yields what Continue reads from an answer. */
  async function* ask(path, body) {
    const response = await fetch(server.url + path, {
      method: 'POST', headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }, body: JSON.stringify({ stream: true, ...body }),
    })
    yield* streamSse(response)
  }

  async function join(path, body, pick) {
    let all = ''
    for await (const c of ask(path, body)) all += pick(c.choices[0]) ?? ''
    return all
  }
  const chat = (model) => join('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'hello' }] }, (c) => c?.delta.content)

  test('chat', async () => assert.equal(await chat('plain'), text))
  test('chat with heartbeats', async () => assert.equal(await chat('silent'), text))
  test('completions', async () => assert.equal(await join('/v1/completions', { model: 'text', prompt: 'return ' }, (c) => c?.text), 'a + b'))
  test('fill in the middle', async () => {
    assert.equal(await join('/v1/fim/completions', { model: 'text', prompt: 'return ', suffix: '\n}' }, (c) => c?.delta?.content), 'a + b')
    const { path, body } = upstream.of('text').at(-1)
    assert.deepEqual([path, body.suffix], ['/v1/completions', '\n}'])
  })
  for (const model of ['failing', 'truncated']) {
    test(`${model} throws`, async (t) => {
      t.mock.method(console, 'error', () => {}) // it prints the error, and throws it
      await assert.rejects(chat(model), /Error streaming response: .*(on fire|did not finish)/)
    })
  }
})

describe('AI SDK', () => {
  const model = (id) => createOpenAICompatible({ name: 'duckwire', baseURL: `${server.url}/v1`, apiKey: bearer, includeUsage: true })(id)
  const add = tool({ inputSchema: z.object({ a: z.number(), b: z.number() }) })
  const ask = { prompt: 'hello', maxRetries: 0 }

  test('streamText', async () => {
    const result = streamText({ ...ask, model: model('plain') })
    let all = ''
    for await (const part of result.textStream) all += part
    assert.equal(all, text)
    assert.equal(await result.finishReason, 'stop')
    assert.equal((await result.usage).outputTokens, usage.completion_tokens)
  })

  test('generateText', async () => {
    const result = await generateText({ ...ask, model: model('plain') })
    assert.equal(result.text, text)
    assert.equal(result.usage.totalTokens, usage.total_tokens)
  })

  test('tool calls and reasoning', async () => {
    for (const run of [(o) => generateText(o), (o) => streamText(o)]) {
      const result = await run({ ...ask, model: model('tools'), tools: { add } })
      const calls = await result.toolCalls
      assert.deepEqual(calls.map((c) => [c.toolCallId, c.toolName, c.input]), [['call_1', 'add', { a: 1, b: 2 }]])
      assert.equal(await result.reasoningText, 'a sum')
      assert.equal(await result.finishReason, 'tool-calls')
    }
  })

  for (const id of ['failing', 'truncated']) {
    test(`${id} is an error`, async () => {
      const errors = []
      const result = streamText({ ...ask, model: model(id), onError: ({ error }) => errors.push(error) })
      let all = ''
      try {
        for await (const part of result.fullStream) if (part.type === 'text-delta') all += part.text
      } catch (error) {
        errors.push(error) // the body that broke off behind the error object
      }
      assert.equal(all, 'half')
      assert.match(String(errors[0]?.message ?? errors[0]), /on fire|did not finish/)
    })
  }
})
