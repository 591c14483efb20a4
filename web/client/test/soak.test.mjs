// Mixed load with cuts, hops, cancels and renewed tokens, for SOAK seconds (20; make soak takes ten minutes). What the clients see is right all the
// time, and when they have gone and what was kept has run out, the server is as it was: goroutines, memory, file descriptors and the database's log.
//
// Only in make test-all: it needs half a minute of load.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { People } from '../dist/index.js'
import { sleep } from '../../../handlers/interop/lib/wait.mjs'
import { api, client, closeAll, cutter, kept, opened, piece, random, seed, startServer, startUpstream, token, until } from './lib/client.mjs'

const seconds = Number(process.env.SOAK ?? 20)
const pieces = Array.from({ length: 60 }, (_, n) => `  ${n}: "Grüße 🦆"\n`)
const text = pieces.join('')
const rungs = ['websocket', 'sse', 'padded', 'longpoll']

let upstream, server, call

before(async () => {
  upstream = await startUpstream({
    async *text() {
      for (const p of pieces) {
        yield piece(p)
        yield { wait: 2 }
      }
      yield piece('', 'stop')
      yield 'data: [DONE]\n\n'
    },
  })
  server = await startServer({
    DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_CONNECTIONS_PER_USER: '100000', DUCKWIRE_CONNECTIONS_PER_ADDRESS: '100000', DUCKWIRE_HEAVY_PER_MINUTE: '0',
    DUCKWIRE_JOINS_PER_MINUTE: '0', DUCKWIRE_HISTORY_TTL: '2s', DUCKWIRE_STREAM_TTL: '2s', DUCKWIRE_PRESENCE_GRACE: '1s',
  })
  call = api(server, token())
})
after(async () => {
  await server?.close()
  upstream?.close()
})

/**
 * visit is one person's visit: a channel, presence, edits, a completion or two, and messages, on one rung, through cuts. A person makes one at a
 * time: what one of a user's devices acknowledges, one that is cut off meanwhile does not see.
 */
async function visit(n, user, pick) {
  const rung = rungs[n % rungs.length]
  const room = rung === 'padded' ? 40_000 : 8000
  const proxy = await cutter(server.url, () => room + pick(200_000))
  const duckwire = client(proxy.url, { user, transports: [rung], token: () => token(user, ['*=*'], '90s') })
  try {
    const channel = duckwire.channel(`code:project:${n % 5}`)
    const people = new People(channel)
    const mine = []
    const by = `visit-${n}`
    channel.on('edit', (edit) => edit.by === by && mine.push(edit.n))
    const handled = []
    const queue = duckwire.queue(({ payload }) => void (payload.by === by && handled.push(payload.n)))
    await channel.join()
    await queue.joined
    const edits = 5 + pick(20)
    for (let i = 0; i < edits; i++) await channel.push('edit', { by, n: i })
    await until('the edits', () => mine.length >= edits)
    assert.deepEqual(mine, mine.map((_, i) => i))
    await until('to be present', () => people.list().some((one) => one.user === user))
    for (let i = 0; i < 3; i++) await call('POST', `/v1/users/${user}/messages`, { event: 'note', payload: { by, n: i } })
    await until('the messages', () => handled.length >= 3)
    assert.deepEqual(handled, [0, 1, 2])
    const completion = duckwire.complete({ model: 'text', prompt: 'def f():' })
    if (pick(3) === 0) {
      for await (const _ of completion) if (completion.bytes > 100) break
      await completion.cancel()
    } else assert.equal(await completion.text(), text)
    await queue.close()
  } finally {
    opened.splice(opened.indexOf(duckwire), 1)
    await duckwire.close()
    await proxy.close()
  }
}

let visits = 0 // of all loads: what one visit could not acknowledge before it was cut off, no other takes for its own

/** load has eight people come and go until a time. It returns how many visits there were. */
async function load(until, pick) {
  const before = visits
  await Promise.all(Array.from({ length: 8 }, async (_, person) => {
    while (Date.now() < until) await visit(visits++, `u${person}`, pick)
  }))
  return visits - before
}

/** figures is what the server takes. */
async function figures() {
  const profile = async (name) => (await fetch(`${server.url}/debug/pprof/${name}`, { headers: { authorization: `Bearer ${token()}` } })).text()
  const goroutines = Number(/total (\d+)/.exec(await profile('goroutine?debug=1'))[1])
  const heap = Number(/# HeapAlloc = (\d+)/.exec(await profile('heap?debug=1&gc=1'))[1])
  const wal = join(server.dir, 'duckwire.db-wal')
  return { goroutines, heap, files: readdirSync(`/proc/${server.pid()}/fd`).length, wal: existsSync(wal) ? statSync(wal).size : 0 }
}

test('what the server takes under load it gives back', { timeout: (seconds + 900) * 1000 }, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const pick = random()
  await load(Date.now() + Math.min(5000, seconds * 200), pick) // caches and pools have their size then
  await sleep(3000)
  const before = await figures()
  const made = await load(Date.now() + seconds * 1000, pick)
  await closeAll()
  assert.ok(made >= 8)
  let now
  const back = async () => {
    now = await figures()
    return now.goroutines <= before.goroutines + 4 && now.files <= before.files + 4 && now.heap <= before.heap * 1.25 + 4e6 && now.wal <= Math.max(before.wal, 8 << 20) // journal_size_limit
  }
  await until('the server to be as it was', back).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify({ before, now })}`)
  })
  t.diagnostic(`${made} visits; ${JSON.stringify({ before, now })}`)
})
