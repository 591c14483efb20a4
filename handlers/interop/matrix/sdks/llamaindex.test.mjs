// LlamaIndex on OpenAI's SDK.

import { hears } from '../lib/outcome.mjs'
import { matrix } from '../lib/run.mjs'

const llamaindex = {
  name: '@llamaindex/openai 0.4',
  lacks: ['models', 'complete', 'reasoning', 'leave'],
  async connect({ baseURL, apiKey, timeout }) {
    const { OpenAI } = await import('@llamaindex/openai')
    return {
      chat: ({ model, messages, stream, tools, usage, onText }) =>
        hears(failure, async () => {
          const more = stream && usage ? { additionalChatOptions: { stream_options: { include_usage: true } } } : {}
          const llm = new OpenAI({ model, apiKey, baseURL, timeout, maxRetries: 0, ...more })
          const ask = { messages, stream, ...(tools && { tools: tools.map(toolOf) }) }
          return stream ? fold(await llm.chat(ask), onText) : whole(await llm.chat(ask))
        }),
    }
  },
}

const toolOf = ({ function: { name, description, parameters } }) => ({ metadata: { name, description, parameters }, call: () => '' })
const callOf = ({ id, name, input }) => ({ id, name, args: typeof input === 'string' ? JSON.parse(input) : input })

const whole = ({ message, raw }) => ({
  text: message.content, toolCalls: (message.options?.toolCall ?? []).map(callOf), finish: raw.choices[0].finish_reason, usage: raw.usage, raw,
})

async function fold(chunks, onText = () => {}) {
  const outcome = { text: '', toolCalls: [] }
  try {
    for await (const { delta, options, raw } of chunks) {
      outcome.text += delta
      if (delta) onText(delta)
      if (options?.toolCall) addCalls(outcome.toolCalls, options.toolCall)
      if (raw?.usage) outcome.usage = raw.usage
      outcome.finish = raw?.choices[0]?.finish_reason ?? outcome.finish
    }
  } catch (error) {
    error.partial = outcome
    throw error
  }
  return outcome
}

/** addCalls adds the calls of a chunk that are complete. The input of others is still a text. */
function addCalls(calls, more) {
  for (const call of more) if (typeof call.input !== 'string') calls.push(callOf(call))
}

const failure = (e) => ({
  class: e.constructor.name, status: e.status, code: e.code, param: e.param, type: e.type, message: e.message,
  retryAfter: e.headers?.get?.('retry-after') ?? undefined,
})

matrix([llamaindex])
