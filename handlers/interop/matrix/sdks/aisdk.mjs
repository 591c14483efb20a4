// The AI SDK with one of its providers as a client of the matrix.

import { hears } from '../lib/outcome.mjs'

/**
 * aiClient makes a client of a version of ai and a provider's package. create returns, for an address and a key, the
 * provider's models {chat, complete}, each a function of the model's name.
 */
export const aiClient = (name, ai, create, more = {}) => ({
  name,
  ...more,
  async connect(side) {
    const sdk = await import(ai)
    const models = await create(side)
    const call = (model) => ({ stream, ...ask }) => hears(failure, () => (stream ? streaming : whole)(sdk, model(ask.model), ask))
    return { chat: call(models.chat), ...(models.complete && { complete: call(models.complete) }) }
  },
})

function options(sdk, model, { messages, prompt, tools, signal }) {
  const set = tools?.map(({ function: f }) => [f.name, sdk.tool({ description: f.description, inputSchema: sdk.jsonSchema(f.parameters) })])
  return { model, ...(messages ? { messages } : { prompt }), ...(set && { tools: Object.fromEntries(set) }), abortSignal: signal, maxRetries: 0 }
}

const callOf = (c) => ({ id: c.toolCallId, name: c.toolName, args: c.input })

async function whole(sdk, model, ask) {
  const r = await sdk.generateText(options(sdk, model, ask))
  return { text: r.text, reasoning: r.reasoningText, toolCalls: r.toolCalls.map(callOf), finish: r.finishReason, usage: r.usage, raw: r.response.body }
}

async function streaming(sdk, model, { onText = () => {}, ...ask }) {
  const outcome = { text: '', reasoning: '', toolCalls: [] }
  const errors = []
  const { fullStream } = sdk.streamText({ ...options(sdk, model, ask), onError: ({ error }) => errors.push(error) })
  try {
    for await (const part of fullStream) take(outcome, part, onText)
  } catch (error) {
    errors.push(error)
  }
  if (errors.length > 0) outcome.error = failure(errors[0]) // a broken body behind it may follow
  return outcome
}

function take(outcome, part, onText) {
  switch (part.type) {
    case 'text-delta':
      outcome.text += part.text
      return onText(part.text)
    case 'reasoning-delta':
      outcome.reasoning += part.text
      return
    case 'tool-call':
      outcome.toolCalls.push(callOf(part))
      return
    case 'finish-step': {
      const { id, modelId, timestamp } = part.response
      Object.assign(outcome, { finish: part.finishReason, usage: part.usage, heads: [{ id, modelId, created: timestamp }] })
      return
    }
    case 'abort':
      outcome.aborted = true
  }
}

/** failure is what a program can see of an error, which is whatever the upstream sent if it comes in a stream. */
function failure(e) {
  if (!(e instanceof Error)) return e
  return {
    class: e.name, status: e.statusCode, message: e.message, body: parsed(e.responseBody), retryable: e.isRetryable, retryAfter: e.responseHeaders?.['retry-after'],
    ...(e.type && { type: e.type, code: e.code, param: e.param }),
  }
}

function parsed(body) {
  try {
    return body && JSON.parse(body)
  } catch {
    return body
  }
}
