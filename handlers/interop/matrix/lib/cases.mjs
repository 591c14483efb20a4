// The table: what each client is asked, and where an answer through the server may differ from a direct one.

import { text, thoughts, toolCalls, wrongKey } from './scripts.mjs'

const tools = ['edit', 'run'].map((name) => ({
  type: 'function', function: { name, description: name, parameters: { type: 'object', properties: { path: { type: 'string' }, line: { type: 'integer' }, command: { type: 'string' } } } },
}))

/**
 * chat makes a case of a chat, streaming or not. want holds what the direct answer must have, so that two empty answers
 * are not taken for equal ones; want.error says that the call must fail.
 */
const chat = (name, stream, ask, want, more) => ({ name: `${name}, ${stream ? 'streaming' : 'whole'}`, call: 'chat', ask: { stream, ...ask }, want, ...more })
const both = (name, ask, want, more) => [true, false].map((stream) => chat(name, stream, ask, want, more))

export const cases = [
  ...both('chat', { model: 'plain' }, { text }),
  ...both('chat with usage', { model: 'plain', usage: true }, { text, usage: true }),
  ...both('tool calls', { model: 'tools', tools }, { toolCalls }),
  ...both('reasoning', { model: 'reasoning' }, { text: '42', reasoning: thoughts }),
  ...both('an answer cut by the limit of tokens', { model: 'length' }, { text: 'too lo' }),
  ...[true, false].map((stream) => ({
    name: `text completion, ${stream ? 'streaming' : 'whole'}`, call: 'complete', ask: { model: 'text', prompt: 'return ', suffix: '\n}', stream }, want: { text: 'a + b' },
  })),
  { name: 'models', call: 'models', ask: {}, want: { raw: true } },
  ...both('400', { model: 'refusing' }, { error: /8192 tokens/ }),
  ...both('401', { model: 'plain' }, { error: true }, { apiKey: wrongKey }),
  ...both('404', { model: 'no-such-model' }, { error: /does not exist/ }),
  ...both('429', { model: 'limited' }, { error: /Rate limit reached/ }),
  ...both('503', { model: 'down' }, { error: /overloaded/ }),
  chat('an error in the stream', true, { model: 'failing' }, { error: true, text: 'half' }),
  chat('a body that ends too early', true, { model: 'cut' }, { text: 'half' }),
  chat('a connection that is reset', true, { model: 'reset' }, { error: true, text: 'half' }),
  ...both('the client leaves', { model: 'endless' }, {}, { leaves: true, leaveOut: ['text'] }),
]

/** isTruncated recognizes the error of an upstream that broke off. Mistral's SDK cannot read error objects in streams. */
const isTruncated = (error) => /did not finish/.test(JSON.stringify(error)) || error?.class === 'ZodError'

/**
 * differences lists what a client may see through the server that it does not see directly. Each names cases, clients
 * (all, if it names none), the member of the outcome, what that must be through the server, and why. Everything else
 * is equal.
 */
export const differences = [
  {
    cases: /streaming/, member: 'heads', must: (heads = []) => heads.length <= 1,
    why: 'id, model and created are those of the first chunk, in all chunks; where the server made that chunk, they are its own',
  },
  {
    cases: /^401/, member: 'error', must: (error) => /401|unauthori/i.test(JSON.stringify(error)),
    why: "the key is the server's token, so the words are the server's",
  },
  {
    cases: /^a body that ends too early/, member: 'error', must: isTruncated,
    why: 'the server knows an answer without an end, where a client takes it for a whole one',
  },
  ...['finish', 'usage'].map((member) => ({
    cases: /^(an error in the stream|a body that ends too early)/, clients: /^ai /, member, must: (value) => value === undefined,
    why: 'the server breaks the body off after an error, so that no client takes it for a whole answer; the AI SDK then has no last step',
  })),
  {
    cases: /^a connection that is reset/, member: 'error', must: isTruncated,
    why: "the connection that broke is the upstream's; the client hears it in words, from which a program can tell the cause",
  },
]
