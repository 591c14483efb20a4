// What the upstream of the client matrix answers, by the request's model. Each script honours stream and
// stream_options as OpenAI's API does, so that a client reads the same from it as from a real upstream.

import { delta, chunk, usage } from '../../lib/upstream.mjs'

const DONE = 'data: [DONE]\n\n'
const head = { id: 'chatcmpl-up', created: 1_700_000_000, model: 'up-1', system_fingerprint: 'fp_up' }

export const text = 'Grüße, 世界 🦆\r\nbye'
export const thoughts = 'hmm, so'
export const wrongKey = 'sk-wrong'
export const toolCalls = [
  { id: 'call_1', name: 'edit', args: { path: 'a.go', line: 7 } },
  { id: 'call_2', name: 'run', args: { command: 'go test' } },
]

/** models is the upstream's list, with members that not every upstream has. */
export const models = [
  {
    id: 'up-1', object: 'model', created: 1, owned_by: 'us', context_length: 32_768, max_context_length: 32_768, type: 'base',
    capabilities: { completion_chat: true, completion_fim: true, function_calling: true, fine_tuning: false, vision: false },
  },
]

/** problem is OpenAI's error object. */
const problem = (message, type, code, param = null) => ({ error: { message, type, param, code } })

/** message streams an assistant's message or answers it whole, as the request asks. */
function* message(body, deltas, whole, finish) {
  if (!body.stream) {
    const choice = { index: 0, message: { role: 'assistant', content: null, refusal: null, ...whole }, logprobs: null, finish_reason: finish }
    yield { status: 200, body: { ...head, object: 'chat.completion', choices: [choice], usage, service_tier: 'default' } }
    return
  }
  const asked = body.stream_options?.include_usage ? { usage: null } : {}
  for (const d of deltas) yield { ...delta(d), ...asked }
  yield { ...delta({}, { finish }), ...asked }
  if (body.stream_options?.include_usage) yield chunk([], { usage })
  yield DONE
}

const unauthorized = { status: 401, body: problem('Incorrect API key provided', 'invalid_request_error', 'invalid_api_key') }

const calls = toolCalls.map((c) => ({ id: c.id, type: 'function', function: { name: c.name, arguments: JSON.stringify(c.args) } }))

/** callDeltas are tool calls in pieces: first the name, then the arguments in two parts. */
const callDeltas = calls.flatMap(({ id, type, function: { name, arguments: args } }, index) => [
  { tool_calls: [{ index, id, type, function: { name, arguments: '' } }] },
  { tool_calls: [{ index, function: { arguments: args.slice(0, 5) } }] },
  { tool_calls: [{ index, function: { arguments: args.slice(5) } }] },
])

const role = { role: 'assistant', content: '' }
const pieces = ['Grüße', ', ', '世界 🦆\r\n', 'bye']

/** textCompletion answers POST /v1/completions. */
function* textCompletion(body) {
  const piece = (part, finish) => ({ ...head, id: 'cmpl-up', object: 'text_completion', choices: [{ text: part, index: 0, logprobs: null, finish_reason: finish }] })
  if (!body.stream) {
    yield { status: 200, body: { ...piece('a + b', 'stop'), usage } }
    return
  }
  yield piece('a + ', null)
  yield piece('b', null)
  yield piece('', 'stop')
  if (body.stream_options?.include_usage) yield { ...piece('', null), choices: [], usage }
  yield DONE
}

/** fim answers POST /v1/fim/completions, in the shape of a chat. */
function* fim(body) {
  for (const step of message(body, [role, { content: 'a + ' }, { content: 'b' }], { content: 'a + b' }, 'stop')) {
    if (step.body) step.body.id = 'cmpl-up'
    yield step
  }
}

/**
 * mistral answers as Mistral's API does: each tool call in one piece, and usage in the last chunk, asked for or not.
 */
function* mistral(body, deltas, whole, finish) {
  if (!body.stream) return yield* message(body, deltas, whole, finish)
  for (const d of deltas) yield delta(d)
  yield { ...delta({ content: '' }, { finish }), usage }
  yield DONE
}

const textDeltas = [role, ...pieces.map((content) => ({ content }))]

export const scripts = {
  async *plain(body, requests) {
    if (requests.at(-1).headers.authorization === `Bearer ${wrongKey}`) yield unauthorized
    else yield* message(body, textDeltas, { content: text }, 'stop')
  },
  async *tools(body) {
    yield* message(body, [{ ...role, content: null }, ...callDeltas], { tool_calls: calls }, 'tool_calls')
  },
  async *'plain-mistral'(body, requests) {
    if (requests.at(-1).headers.authorization === `Bearer ${wrongKey}`) return yield unauthorized
    yield* mistral(body, textDeltas, { content: text }, 'stop')
  },
  async *'tools-mistral'(body) {
    const deltas = [role, { content: '', tool_calls: calls.map((c, index) => ({ index, ...c })) }]
    yield* mistral(body, deltas, { tool_calls: calls }, 'tool_calls')
  },
  async *reasoning(body) {
    const deltas = [role, { reasoning_content: 'hmm' }, { reasoning_content: ', so' }, { content: '42' }]
    yield* message(body, deltas, { reasoning_content: thoughts, content: '42' }, 'stop')
  },
  /** length is an answer that the limit of tokens cut, which is no error. */
  async *length(body) {
    yield* message(body, [role, { content: 'too lo' }], { content: 'too lo' }, 'length')
  },
  async *text(body, requests) {
    if (requests.at(-1).path === '/v1/fim/completions') yield* fim(body)
    else yield* textCompletion(body)
  },
  async *refusing() {
    yield { status: 400, body: problem('This model takes 8192 tokens at most', 'invalid_request_error', 'context_length_exceeded', 'messages') }
  },
  async *limited() {
    yield { status: 429, headers: { 'retry-after': '45' }, body: problem('Rate limit reached', 'tokens', 'rate_limit_exceeded') }
  },
  async *down() {
    yield { status: 503, body: problem('The engine is overloaded', 'server_error', 'overloaded') }
  },
  async *failing() {
    yield delta(role)
    yield delta({ content: 'half' })
    yield problem('the GPU is on fire', 'server_error', 'on_fire')
  },
  /** cut ends the body without a finish_reason and without [DONE]. */
  async *cut() {
    yield delta(role)
    yield delta({ content: 'half' })
  },
  async *reset() {
    yield delta(role)
    yield delta({ content: 'half' })
    yield { wait: 200 } // or the reset overtakes the text
    yield { reset: true }
  },
  /** endless streams until the client leaves; whole, it does not answer in any test's time. */
  async *endless(body) {
    if (!body.stream) yield { wait: 300_000 }
    yield delta(role)
    for (let n = 0; ; n++) {
      yield delta({ content: `${n} ` })
      yield { wait: 20 }
    }
  },
}
