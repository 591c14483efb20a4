// OpenAI's SDK as a client of the matrix; lib/run.mjs says what that is.

import { fold, hears } from '../lib/outcome.mjs'

/** leastNode is the oldest Node.js that a major supports, where that is newer than our own least. */
const leastNode = { 7: 22 }

export const openaiClient = (major) => ({
  name: `openai npm ${major}`,
  leastNode: leastNode[major],
  async connect({ baseURL, apiKey, timeout }) {
    const { default: OpenAI } = await import(`openai-${major}`)
    const client = new OpenAI({ baseURL, apiKey, timeout, maxRetries: 0 })
    return {
      chat: (ask) => hears(failure, () => chat(client, ask)),
      complete: (ask) => hears(failure, () => complete(client, ask)),
      models: () => hears(failure, async () => ({ raw: await all(client.models.list()) })),
    }
  },
})

const wantsUsage = (ask) => (ask.usage ? { stream_options: { include_usage: true } } : {})

async function chat(client, { model, messages, stream, tools, signal, onText, ...ask }) {
  const body = { model, messages, stream, ...(tools && { tools }), ...(stream && wantsUsage(ask)) }
  const answer = await client.chat.completions.create(body, { signal })
  if (stream) return fold(answer, onText)
  const [{ message, finish_reason: finish }] = answer.choices
  return {
    text: message.content ?? '', reasoning: message.reasoning_content, finish, usage: answer.usage, raw: answer,
    toolCalls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, args: JSON.parse(c.function.arguments) })),
  }
}

async function complete(client, { model, prompt, suffix, stream, onText }) {
  const answer = await client.completions.create({ model, prompt, suffix, stream })
  if (stream) return fold(answer, onText)
  const [{ text, finish_reason: finish }] = answer.choices
  return { text, finish, usage: answer.usage, raw: answer }
}

async function all(pages) {
  const items = []
  for await (const item of pages) items.push(item)
  return items
}

/** failure is what a program can see of an error of the SDK. */
const failure = (e) => ({
  class: e.constructor.name, status: e.status, code: e.code, param: e.param, type: e.type, message: e.message,
  retryAfter: header(e.headers, 'retry-after'),
})

/** header reads a header of 4's errors, where headers are an object, and of later ones'. */
const header = (headers, name) => (typeof headers?.get === 'function' ? headers.get(name) : headers?.[name]) ?? undefined
