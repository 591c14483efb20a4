// Tries our own client through one proxy: which rung of its ladder it reaches, and whether everything works there: a
// channel with edits and presence, a stream, a completion, and the queue.
//
//   node ladder.mjs '{"base", "origin", "token", "user", "pieces", "quiet", "control", "patience", "client", "question", "answer"}'
//
// Its last line is JSON: {"rung", "reached", "works", "live", "first", "why"}. Times are in ms.

import WebSocket from 'ws'
import { api } from '../lib/server.mjs'
import { sleep, until } from '../lib/wait.mjs'

const hung = 120_000 // in ms: nothing takes so long
const settings = JSON.parse(process.argv[2])
const { Duckwire, People, memoryStore } = await import(settings.client)
const call = api({ url: settings.origin }, settings.token)
const numbers = Array.from({ length: 10 }, (_, n) => n)
const result = { rung: '', reached: 0, works: false, live: false, first: 0, why: '' }

// A rung that should work may take long on a busy machine. For the others the client's own patience is used.
const patience = Object.fromEntries(Object.entries(settings.patience).filter(([, ms]) => ms >= hung))
const open = (url) => new Duckwire(url, { token: settings.token, user: settings.user, webSocket: WebSocket, store: memoryStore(), patience })
const [ada, bob] = [open(settings.base), open(settings.origin)]
try {
  const topic = `code:project:${settings.user}`
  const [mine, his] = [ada, bob].map((client) => client.channel(topic, { after: '0' }))
  const people = new People(mine)
  const heard = []
  mine.on('edit', (edit) => heard.push(edit))
  const begun = performance.now()
  await mine.join()
  result.reached = performance.now() - begun
  result.rung = ada.transport
  await his.join()
  await until('both to be present', () => people.list()[0]?.metas.length === 2, hung)

  await readStream()
  await edit([mine, his], heard)
  const text = await ada.complete({ ...settings.question, duckwire: { id: `${settings.user}-ladder` } }).text()
  same('the completion', text, settings.answer)
  await readQueue()
  result.works = true
} catch (error) {
  result.why = error.message
}
console.log(JSON.stringify(result))
process.exit()

function same(what, got, want) {
  if (String(got) !== String(want)) throw new Error(`${what} came as ${JSON.stringify(got)}, not as ${JSON.stringify(want)}`)
}

/** readStream reads a stream whose first piece is sent alone; then the trouble begins, and then the rest is sent. */
async function readStream() {
  const { id } = await call('POST', '/v1/streams', { kind: 'completion' })
  const append = (entry) => call('POST', `/v1/streams/${id}/append`, entry)
  await append({ text: settings.pieces[0] })
  const begun = performance.now()
  let text = ''
  const read = (async () => {
    for await (const piece of ada.stream(id)) {
      result.first ||= performance.now() - begun
      text += piece
    }
  })()
  read.catch(() => {}) // awaited below
  result.live = await until('the first piece', () => text !== '', hung).catch(() => false)
  await sleep(settings.quiet)
  if (settings.control) await fetch(settings.control, { method: 'POST' })
  for (const piece of settings.pieces.slice(1)) await append({ text: piece })
  await append({ event: 'end' })
  await read
  same('the stream', text, settings.pieces.join(''))
}

/** edit edits one file with two clients. Edits are numbered, so that lost, repeated and reordered ones are detected. */
async function edit(channels, heard) {
  await Promise.all(channels.map(async (channel, by) => {
    for (const n of numbers) await channel.push('edit', { by, n })
  }))
  await until('all edits', () => heard.length >= 2 * numbers.length, hung)
  for (const by of [0, 1]) same(`edits of ${by}`, heard.filter((one) => one.by === by).map((one) => one.n), numbers)
}

/** readQueue reads the waiting messages, and acknowledges them. */
async function readQueue() {
  for (const n of numbers) await call('POST', `/v1/users/${settings.user}/messages`, { event: 'note', payload: { n } })
  const handled = []
  const queue = ada.queue((message) => void handled.push(message.payload.n))
  await queue.joined
  await until('all messages', () => handled.length >= numbers.length, hung)
  same('the queue', handled, numbers)
  await until('nothing to wait any more', async () => (await call('GET', '/v1/users/me/messages')).messages.length === 0, hung)
  await queue.close()
}
