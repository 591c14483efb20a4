// The model of an agent: it reads note.txt, writes copy.txt with what is to be in it, and then answers. The prompt has
// the folder in brackets.

import { chunk, delta, usage } from '../../lib/upstream.mjs'

export const secret = 'marmalade-4711'
export const answer = 'I have copied the note.'

/** agent is the script of the upstream. Requests without tools ask for a title or the like. */
export async function* agent(body) {
  const results = body.messages.filter((m) => m.role === 'tool').length
  const step = body.tools?.length ? steps[results] : undefined
  yield* body.stream ? streaming(body, step) : whole(body, step)
}

const steps = [
  { id: 'call_read', tool: /^read(_file)?$/i, file: 'note.txt' },
  { id: 'call_write', tool: /^write(_file)?$/i, file: 'copy.txt' },
]

/** callOf makes the call of a step, with arguments that fit the agent's own tool. */
function callOf({ id, tool: name, file }, { messages, tools }) {
  const [, folder] = /\[([^\][]+)\]\./.exec(messages.filter((m) => m.role === 'user').map((m) => JSON.stringify(m.content)).join(' '))
  const { function: tool } = tools.find((t) => name.test(t.function.name))
  const args = {}
  for (const key of Object.keys(tool.parameters.properties)) {
    if (/path/i.test(key)) args[key] = `${folder}/${file}`
    else if (/content/i.test(key)) args[key] = `${secret}\n`
  }
  return { id, type: 'function', function: { name: tool.name, arguments: JSON.stringify(args) } }
}

function* streaming(body, step) {
  yield delta({ role: 'assistant', content: '' })
  if (step) {
    const { function: f, ...call } = callOf(step, body)
    yield delta({ tool_calls: [{ index: 0, ...call, function: { name: f.name, arguments: '' } }] })
    yield delta({ tool_calls: [{ index: 0, function: { arguments: f.arguments.slice(0, 9) } }] })
    yield delta({ tool_calls: [{ index: 0, function: { arguments: f.arguments.slice(9) } }] })
  } else {
    for (const word of answer.split(/(?= )/)) yield delta({ content: word })
  }
  yield delta({}, { finish: step ? 'tool_calls' : 'stop' })
  if (body.stream_options?.include_usage) yield chunk([], { usage })
  yield 'data: [DONE]\n\n'
}

function* whole(body, step) {
  const message = step ? { role: 'assistant', content: null, tool_calls: [callOf(step, body)] } : { role: 'assistant', content: answer }
  const choices = [{ index: 0, message, finish_reason: step ? 'tool_calls' : 'stop' }]
  yield { status: 200, body: { ...chunk(choices), object: 'chat.completion', usage } }
}
