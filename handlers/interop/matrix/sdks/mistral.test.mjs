// Mistral's SDK, in its last two majors.

import { hears } from '../lib/outcome.mjs'
import { matrix } from '../lib/run.mjs'

const mistralClient = (name, pkg) => ({
  name,
  lacks: ['reasoning'],
  dialect: 'mistral',
  async connect({ baseURL, apiKey, timeout }) {
    const { Mistral } = await import(pkg)
    const client = new Mistral({ apiKey, serverURL: baseURL.replace(/\/v1$/, ''), timeoutMs: timeout, retryConfig: { strategy: 'none' } })
    const ask = (door) => ({ stream, onText, signal, usage, ...request }) =>
      hears(failure, async () => {
        const more = { fetchOptions: { signal } }
        return stream ? fold(await door.stream(request, more), onText) : whole(await door.complete(request, more))
      })
    return { chat: ask(client.chat), complete: ask(client.fim), models: () => hears(failure, async () => ({ raw: await client.models.list() })) }
  },
})

const callOf = (c) => ({ id: c.id, name: c.function.name, args: typeof c.function.arguments === 'string' ? JSON.parse(c.function.arguments) : c.function.arguments })

function whole(answer) {
  const [{ message, finishReason: finish }] = answer.choices
  return { text: message.content ?? '', toolCalls: (message.toolCalls ?? []).map(callOf), finish, usage: answer.usage, raw: answer }
}

async function fold(events, onText = () => {}) {
  const outcome = { text: '', toolCalls: [], heads: [] }
  const calls = []
  try {
    for await (const { data } of events) take(outcome, calls, data, onText)
  } catch (error) {
    error.partial = outcome
    throw error
  }
  outcome.toolCalls = calls.map(callOf)
  return outcome
}

function take(outcome, calls, { id, model, created, object, usage, choices }, onText) {
  const head = JSON.stringify({ id, model, created, object })
  if (!outcome.heads.includes(head)) outcome.heads.push(head)
  if (usage) outcome.usage = usage
  for (const { delta, finishReason } of choices) {
    if (delta.content) {
      outcome.text += delta.content
      onText(delta.content)
    }
    // The SDK gives the pieces of calls as they came: its types say that each is a whole call.
    for (const { index, id, function: f } of delta.toolCalls ?? []) {
      calls[index] ??= { id, function: { name: '', arguments: '' } }
      calls[index].function.name += f.name
      calls[index].function.arguments += f.arguments
    }
    if (finishReason) outcome.finish = finishReason
  }
}

const failure = (e) => ({ class: e.name, status: e.statusCode, message: e.message, body: e.body, retryAfter: e.headers?.get('retry-after') ?? undefined })

matrix([mistralClient('@mistralai/mistralai 2', '@mistralai/mistralai'), mistralClient('@mistralai/mistralai 1', '@mistralai/mistralai-1')])
