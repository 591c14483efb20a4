// The rule of transparency: what a client yields through the server is what it yields from the upstream directly.
//
// A client of the matrix is {name, leastNode, lacks, dialect, connect}. connect({baseURL, apiKey, timeout}) returns the calls
// that the client has: chat, complete, models. Each takes {model, messages, stream, tools, usage, signal, onText} or
// {model, prompt, suffix, stream} and returns an outcome; outcome.mjs says what that is. lacks names
// what a client does not have: calls, members of outcomes, and "leave" if it cannot abort. dialect is "mistral" for
// clients that expect Mistral's answers.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startServer, token } from '../../lib/server.mjs'
import { startUpstream } from '../../lib/upstream.mjs'
import { hung, until, within } from '../../lib/wait.mjs'
import { cases, differences } from './cases.mjs'
import { models, scripts } from './scripts.mjs'

/** matrix registers a test for each client and case. */
export function matrix(clients) {
  const sides = {} // of each, its address and key
  let upstream, server
  before(async () => {
    upstream = await startUpstream(scripts, { models })
    server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_HEAVY_PER_MINUTE: '0', DUCKWIRE_KEEP_CHAT: '0s' })
    sides.direct = { baseURL: upstream.url, apiKey: 'sk-right' }
    sides.through = { baseURL: `${server.url}/v1`, apiKey: token() }
  })
  after(async () => {
    await server?.close()
    upstream?.close()
  })
  for (const client of clients) {
    describe(client.name, { skip: nodeTooOld(client) }, () => {
      for (const one of cases) {
        if (!lacks(client, one)) test(one.name, () => compare(client, one, sides, upstream))
      }
    })
  }
}

const nodeTooOld = ({ leastNode = 0 }) => parseInt(process.versions.node) < leastNode && `it needs Node.js ${leastNode}`

const lacks = ({ lacks: lacking = [] }, one) =>
  lacking.includes(one.call) || (one.leaves && lacking.includes('leave'))

async function compare(client, one, sides, upstream) {
  const direct = await outcomeOf(client, one, sides.direct, upstream)
  check(client, one, direct)
  const through = await outcomeOf(client, one, sides.through, upstream)
  assert.deepEqual(allow(client, one, direct, through), direct)
}

/** outcomeOf asks one side. The side's address is left out of errors. */
async function outcomeOf(client, one, side, upstream) {
  const outcome = await ask(client, one, side, upstream)
  return JSON.parse(JSON.stringify(outcome).replaceAll(side.baseURL, 'URL'))
}

/** ask makes the call. A client that leaves must be noticed by the upstream. */
async function ask(client, one, side, upstream) {
  const calls = await client.connect({ timeout: hung, ...side, ...(one.apiKey && { apiKey: one.apiKey }) })
  const request = { messages: [{ role: 'user', content: 'hello' }], ...one.ask, ...dialectOf(client, one) }
  if (!one.leaves) return within(hung, 'the answer', calls[one.call](request))

  const controller = new AbortController()
  const before = upstream.of(request.model).length
  const leave = () => controller.abort()
  const leaving = calls[one.call]({ ...request, signal: controller.signal, onText: leave })
  const seen = await until('the upstream is asked', () => upstream.of(request.model)[before])
  if (!request.stream) leave()
  const outcome = await within(hung, 'the end of the call', leaving)
  await until('the upstream sees that the client has left', () => seen.aborted)
  for (const member of one.leaveOut) delete outcome[member]
  return outcome
}

/** dialectOf returns the script for clients that expect another vendor's answers, where there is one. */
function dialectOf({ dialect }, { ask }) {
  const model = `${ask.model}-${dialect}`
  return model in scripts ? { model } : {}
}

/** check checks the direct outcome, so that nothing is compared with nothing. */
function check({ lacks: lacking = [] }, { want }, outcome) {
  for (const [member, wanted] of Object.entries(want)) {
    if (lacking.includes(member)) continue
    if (wanted instanceof RegExp) assert.match(JSON.stringify(outcome[member] ?? null), wanted)
    else if (wanted === true) assert.ok(outcome[member], `it has no ${member}: ${JSON.stringify(outcome)}`)
    else assert.deepEqual(outcome[member], wanted)
  }
}

/** allow returns the outcome through the server with listed differences undone, after it has checked them. */
function allow(client, one, direct, through) {
  const result = structuredClone(through)
  for (const { cases: name, clients = /./, member, must, why } of differences) {
    if (!name.test(one.name) || !clients.test(client.name)) continue
    const [here, there] = [holder(result, member), holder(direct, member)]
    const last = member.split('.').at(-1)
    if (!here || JSON.stringify(here[last]) === JSON.stringify(there?.[last])) continue
    assert.ok(must(here[last], through), `${member} is ${JSON.stringify(here[last])}, but: ${why}`)
    if (there?.[last] === undefined) delete here[last]
    else here[last] = there[last]
  }
  return result
}

/** holder returns the object that has the last member of a path. */
const holder = (value, path) => path.split('.').slice(0, -1).reduce((v, key) => v?.[key], value)
