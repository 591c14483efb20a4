// Tries the transports of a Phoenix socket through one proxy, with the official client: a stream, and a channel with
// edits and presence.
//
//   node sockets.mjs '{"base", "origin", "token", "pieces", "quiet", "control", "patience"}'
//
// Its last line is JSON with the results: {"NAME": {"works", "live", "resumed", "first", "why"}}.

import { Presence } from 'phoenix'
import WebSocket from 'ws'
import { collect, connect, disconnect, follow, transports } from '../lib/phoenix.mjs'
import { api } from '../lib/server.mjs'
import { sleep, until } from '../lib/wait.mjs'

const hung = 120_000 // in ms: nothing takes so long
const padding = 32_768 // bytes: what our own client asks for where a beginning is held back
const settings = JSON.parse(process.argv[2])
const call = api({ url: settings.origin }, settings.token)
const edits = Array.from({ length: 10 }, (_, n) => n)
const rungs = {
  WebSocket: { transport: transports.WebSocket },
  'SSE socket': { transport: transports.SSE },
  'SSE socket, padded': { transport: transports.SSE, params: { pad: padding } },
  'long-poll socket': { transport: transports.LongPoll },
}

// The trouble begins once, when all clients had time to receive their first piece.
let waiting = Object.keys(rungs).length
let begin
const trouble = new Promise((resolve) => (begin = resolve)).then(async () => {
  await sleep(settings.quiet)
  if (settings.control) await fetch(settings.control, { method: 'POST' })
})

const results = await Promise.all(Object.entries(rungs).map(async ([name, options]) => [name, await judge(options, settings.patience[name])]))
console.log(JSON.stringify(Object.fromEntries(results)))
process.exit()

async function judge(options, patience) {
  const result = { works: false, live: false, resumed: false, first: 0, why: '' }
  let told = false
  const ready = () => {
    if (!told && --waiting === 0) begin()
    told = true
  }
  try {
    await run(options, result, ready, patience)
    result.works = true
  } catch (error) {
    result.why = error.message
  } finally {
    ready()
  }
  return result
}

async function run(options, result, ready, patience) {
  const socket = connect(settings.base, settings.token, options)
  const bob = connect(settings.origin, settings.token, { transport: WebSocket })
  try {
    let opened = 0
    socket.onOpen(() => opened++)
    await until('the socket to open', () => opened > 0, patience + 1000)
    await readStream(socket, result, ready, patience)
    await edit(socket, bob)
    result.resumed = opened > 1
  } finally {
    await Promise.all([socket, bob].map(disconnect))
  }
}

/** edit edits one file with two clients. */
async function edit(socket, bob) {
  const topic = `code:project:${Math.random().toString(36).slice(2)}`
  const [mine, his] = [socket, bob].map((s, by) => follow(s, topic, { from: '0', params: { client_id: `${by}-${topic}` } }))
  const presence = new Presence(mine)
  const heard = collect(mine, 'edit')
  await until('both to be present', () => presence.list((_, { metas }) => metas.length)[0] === 2, hung)
  // Edits are numbered, so that lost, repeated and reordered ones are detected. An edit without an answer is sent again
  // with the same id, and published once.
  await Promise.all(
    [mine, his].map(async (channel, by) => {
      for (const n of edits) await pushed(channel, { by, n, id: `${topic}-${by}-${n}` })
    }),
  )
  await until('all edits', () => heard.length >= 2 * edits.length, hung)
  for (const by of [0, 1]) {
    const numbers = heard.filter((one) => one.by === by).map((one) => one.n)
    if (String(numbers) !== String(edits)) throw new Error(`edits of ${by} came as ${numbers}`)
  }
}

/** readStream reads a stream whose first piece is sent alone; then the trouble begins, and then the rest is sent. */
async function readStream(socket, result, ready, patience) {
  const { id } = await call('POST', '/v1/streams', { kind: 'completion' })
  const append = (entry) => call('POST', `/v1/streams/${id}/append`, entry)
  await append({ text: settings.pieces[0] })
  const begun = performance.now()
  const channel = follow(socket, `stream:${id}`, { from: '0' })
  const [chunks, ends] = [collect(channel, 'chunk'), collect(channel, 'end')]
  const text = () => chunks.map((chunk) => chunk.text).join('')
  await until('the first piece', () => text() !== '', patience).then(() => (result.live = true), () => {})
  if (result.live) result.first = performance.now() - begun
  ready()
  await trouble
  for (const piece of settings.pieces.slice(1)) await append({ text: piece })
  await append({ event: 'end' })
  await until('the end', () => ends.length > 0, hung)
  result.first ||= performance.now() - begun
  if (text() !== settings.pieces.join('')) throw new Error(`the stream came as ${JSON.stringify(text())}`)
}

/** pushed repeats a push until it is answered. */
async function pushed(channel, payload) {
  for (let tries = 0; tries < 40; tries++) {
    const status = await new Promise((resolve) => {
      const push = channel.push('edit', payload, 3000)
      push.receive('ok', () => resolve('ok')).receive('timeout', () => resolve('timeout'))
      push.receive('error', (response) => resolve(JSON.stringify(response)))
    })
    if (status === 'ok') return
    if (status !== 'timeout') throw new Error(`edit ${payload.n}: ${status}`)
  }
  throw new Error(`edit ${payload.n}: no answer`)
}
