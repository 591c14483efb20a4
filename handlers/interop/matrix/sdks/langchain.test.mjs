// LangChain on OpenAI's SDK.

import { hears } from '../lib/outcome.mjs'
import { matrix } from '../lib/run.mjs'

const langchain = {
  name: '@langchain/openai 1',
  leastNode: 22,
  lacks: ['models', 'reasoning'],
  async connect({ baseURL, apiKey, timeout }) {
    const { ChatOpenAI, OpenAI } = await import('@langchain/openai')
    const options = ({ model, usage = false }) => ({ model, apiKey, timeout, maxRetries: 0, configuration: { baseURL }, streamUsage: usage })
    return {
      chat: ({ messages, stream, tools, signal, onText, ...ask }) =>
        hears(failure, async () => {
          const model = new ChatOpenAI(options(ask))
          const bound = tools ? model.bindTools(tools) : model
          return stream ? fold(await bound.stream(messages, { signal }), onText) : outcomeOf(await bound.invoke(messages, { signal }))
        }),
      complete: ({ prompt, stream, ...ask }) =>
        hears(failure, async () => {
          const model = new OpenAI(options(ask))
          if (!stream) return { text: await model.invoke(prompt) }
          let text = ''
          for await (const piece of await model.stream(prompt)) text += piece
          return { text }
        }),
    }
  },
}

/** outcomeOf is the outcome of a message, or of chunks that are put together. */
const outcomeOf = (message) => ({
  text: message.content, toolCalls: message.tool_calls.map(({ id, name, args }) => ({ id, name, args })), usage: message.usage_metadata,
  finish: message.response_metadata.finish_reason, metadata: message.response_metadata, raw: message.additional_kwargs,
})

async function fold(chunks, onText = () => {}) {
  let message
  try {
    for await (const chunk of chunks) {
      message = message ? message.concat(chunk) : chunk
      if (chunk.content) onText(chunk.content)
    }
  } catch (error) {
    if (message) error.partial = streamed(message)
    throw error
  }
  return streamed(message)
}

/** streamed is the outcome of a stream, whose metadata has the members of its chunks glued together. */
function streamed(message) {
  const { metadata, raw, ...outcome } = outcomeOf(message)
  return outcome
}

const failure = (e) => ({
  class: e.name, status: e.status, code: e.code, param: e.param, type: e.type, message: e.message, retryAfter: e.headers?.get?.('retry-after') ?? undefined,
})

matrix([langchain])
