// An outcome is what a client yields: {text, reasoning, toolCalls, finish, usage, raw, head, error}, each where the
// client has it.

/**
 * hears returns the outcome of a call. A call that fails has an error, made by describe, and partial: what came before
 * it.
 */
export async function hears(describe, call) {
  try {
    return plain(await call())
  } catch (error) {
    const { partial = {} } = error
    return plain({ ...partial, error: describe(error) })
  }
}

/** plain returns what JSON has of a value, without undefined members. */
const plain = (value) => JSON.parse(JSON.stringify(value))

/** fold reads a stream of OpenAI's chunks to its end. If that fails, the error's partial has what came before. */
export async function fold(chunks, onText = () => {}) {
  const outcome = { text: '', reasoning: '', toolCalls: [], heads: [] }
  const calls = []
  try {
    for await (const c of chunks) {
      addHead(outcome.heads, c)
      if (c.usage) outcome.usage = c.usage
      for (const choice of c.choices) addChoice(outcome, calls, choice, onText)
    }
  } catch (error) {
    error.partial = { ...outcome, toolCalls: calls }
    throw error
  }
  outcome.toolCalls = calls.map(({ args, ...call }) => ({ ...call, args: JSON.parse(args) }))
  return outcome
}

/** addHead notes the members that are the same in all chunks, once for each value. */
function addHead(heads, { id, object, created, model, system_fingerprint }) {
  const head = { id, object, created, model, system_fingerprint }
  if (!heads.some((h) => JSON.stringify(h) === JSON.stringify(head))) heads.push(head)
}

function addChoice(outcome, calls, choice, onText) {
  const { content = choice.text, reasoning_content: reasoning, role, tool_calls: parts = [] } = choice.delta ?? {}
  if (role) outcome.role = role
  if (reasoning) outcome.reasoning += reasoning
  if (content) {
    outcome.text += content
    onText(content)
  }
  for (const { index, id, function: f = {} } of parts) {
    calls[index] ??= { id: '', name: '', args: '' }
    calls[index].id += id ?? ''
    calls[index].name += f.name ?? ''
    calls[index].args += f.arguments ?? ''
  }
  if (choice.finish_reason) outcome.finish = choice.finish_reason
}
