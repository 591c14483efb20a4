// Three nodes on a real Redis, behind a real nginx that sends each request to the next of them: one server, as far as anybody can see.
//
// Only in make test-all: it needs nginx and redis-server.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { People, StreamError } from '../dist/index.js'
import { startNginx, upgrades } from '../../../handlers/interop/lib/nginx.mjs'
import { startRedis } from '../../../handlers/interop/lib/redis.mjs'
import { sleep } from '../../../handlers/interop/lib/wait.mjs'
import { api, client, closeAll, piece, random, seed, startServer, startUpstream, token, until } from './lib/client.mjs'

const LEASE = 2 // seconds
const pieces = Array.from({ length: 150 }, (_, n) => `  ${n}: "Grüße, 世界 🦆"${n % 7 === 0 ? '\r\n\n' : ''}`)
const text = pieces.join('')

const scripts = {
  async *text() {
    for (const p of pieces) {
      yield piece(p)
      yield { wait: 4 }
    }
    yield piece('', 'stop')
    yield 'data: [DONE]\n\n'
  },
  async *endless() {
    for (;;) {
      yield piece('and on ')
      yield { wait: 5 }
    }
  },
}

let redis, upstream, nodes, balancer, calls

before(async () => {
  redis = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always'])
  upstream = await startUpstream(scripts)
  const settings = {
    DUCKWIRE_REDIS_URL: redis.url, DUCKWIRE_NODE_LEASE: `${LEASE}s`, DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_CONNECTIONS_PER_USER: '100000',
    DUCKWIRE_PRESENCE_GRACE: '5s', DUCKWIRE_HISTORY_EVENTS: '100000', DUCKWIRE_HEAVY_PER_MINUTE: '0', DUCKWIRE_JOINS_PER_MINUTE: '0',
  }
  nodes = await Promise.all([1, 2, 3].map(() => startServer(settings)))
  balancer = await startNginx(nodes.map(({ url }) => url), upgrades)
  calls = nodes.map((node) => api(node, token()))
})
afterEach(closeAll)
after(async () => {
  await balancer?.close()
  await Promise.all((nodes ?? []).map((node) => node.close()))
  upstream?.close()
  await redis?.close()
})

const count = (n) => Array.from({ length: n }, (_, i) => i)
const ask = (model, duckwire = {}) => ({ model, prompt: 'def f():', duckwire })

/** begin starts a completion on a node, and returns its id. */
async function begin(node, model) {
  const response = await fetch(`${node.url}/v1/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json', prefer: 'respond-async' }, body: JSON.stringify(ask(model)),
  })
  return (await response.json()).id
}

const open = (user, rung, more) => client(balancer.url, { token: token(user), user, transports: [rung], ...more })

describe('through a balancer that knows no sessions', () => {
  for (const rung of ['websocket', 'sse', 'longpoll']) {
    test(rung, async () => {
      const topic = `code:project:${rung}`
      const [ada, bob] = [open('ada', rung), open('bob', 'websocket')]
      const [mine, his] = [ada, bob].map((duckwire) => duckwire.channel(topic, { after: '0' }))
      const people = new People(his)
      const heard = [[], []]
      mine.on('edit', ({ n }) => heard[0].push(n))
      his.on('edit', ({ n }) => heard[1].push(n))
      await Promise.all([mine.join(), his.join()])
      await until('both to be present', () => people.list().map(({ user }) => user).sort().join() === 'ada,bob')
      for (const n of count(30)) await mine.push('edit', { n })
      await until('all edits', () => heard.every((list) => list.length >= 30))
      assert.deepEqual(heard, [count(30), count(30)])
      assert.equal(await ada.complete(ask('text')).text(), text)
      const handled = []
      ada.queue(({ payload }) => void handled.push(payload.n))
      for (const n of count(9)) await calls[n % 3]('POST', '/v1/users/ada/messages', { event: 'note', payload: { n } })
      await until('all messages', () => handled.length >= 9)
      assert.deepEqual(handled, count(9))
      await until('the acknowledgement', async () => (await api(nodes[0], token('ada'))('GET', '/v1/users/me/messages')).messages.length === 0)
      await mine.leave()
      await until('ada to leave', () => people.list().length === 1)
    })
  }
})

test('a completion of one node is cancelled on another, up to the upstream', async () => {
  const id = await begin(nodes[0], 'endless')
  const stream = client(nodes[1].url, { token: token() }).stream(id)
  for await (const _ of stream) if (stream.bytes > 100) break
  for (const call of calls) assert.ok((await call('GET', '/v1/streams')).streams.some((one) => one.id === id), 'a node does not list it')
  assert.equal((await calls[2]('DELETE', `/v1/streams/${id}`)).status, 'cancelled')
  await until('the upstream to be left', () => upstream.of('endless').at(-1).aborted)
  await until('the third node to know', async () => (await calls[1]('GET', `/v1/streams/${id}`)).status === 'cancelled')
})

test('what is disconnected or revoked on one node ends on all', async () => {
  const there = client(nodes[1].url, { token: token('eve'), user: 'eve', transports: ['websocket'] })
  const joins = []
  const channel = there.channel('lobby')
  channel.onJoin(() => joins.push(1))
  await channel.join()
  assert.equal((await calls[0]('POST', '/v1/users/eve/disconnect')).disconnected, 1)
  await until('eve to come back', () => joins.length === 2)
  const signed = token('eve') // signed before the revocation, which is about such tokens only
  const use = async () => (await fetch(`${nodes[0].url}/v1/users/me/messages`, { headers: { authorization: `Bearer ${signed}` } })).status
  assert.equal(await use(), 200, 'before the revocation')
  assert.equal((await calls[2]('POST', '/v1/revocations', { user: 'eve' })).disconnected, 1)
  assert.equal(await use(), 401, 'after the revocation')
})

test('a completion whose node is killed is interrupted, with its text', async () => {
  const id = await begin(nodes[0], 'endless')
  const stream = client(nodes[1].url, { token: token() }).stream(id)
  let got = ''
  await assert.rejects(async () => {
    for await (const more of stream) {
      if (got.length < 500 && got.length + more.length >= 500) await nodes[0].stop('SIGKILL')
      got += more
    }
  }, (error) => error instanceof StreamError && error.status === 'interrupted')
  const kept = await calls[2]('GET', `/v1/streams/${id}`)
  assert.deepEqual([kept.text, kept.status], [got, 'interrupted'])
  await nodes[0].restart()
  assert.equal((await calls[0]('GET', `/v1/streams/${id}`)).text, got)
})

test('a conversation is one on all nodes, also when the node that answers is killed', async () => {
  const topic = 'conversation:ducks'
  const heard = [[], []]
  const [ada, bob] = [nodes[0], nodes[1]].map((node, n) => {
    const channel = client(node.url, { token: token('ada'), user: 'ada', transports: ['websocket'] }).channel(topic, { after: '0' })
    for (const event of ['message', 'response', 'error', 'processing_cancelled']) channel.on(event, (payload) => heard[n].push({ event, ...payload }))
    return channel
  })
  assert.equal((await ada.join()).created, true)
  assert.equal((await bob.join()).created, false)
  const ask = (channel, model) => channel.push('message', { content: `for ${model}`, llm_config: { model } })
  const first = await ask(ada, 'endless')
  await until('the question on the other node', () => heard[1].some((one) => one.event === 'message' && one.message_id === first.message_id))
  const second = await ask(bob, 'endless')
  for (const list of heard) {
    await until('the end of the first answer', () => list.some((one) => one.event === 'processing_cancelled' && one.superseded_by === second.message_id))
  }
  await until('the upstream of the first to be left', () => upstream.of('endless').at(-2).aborted)
  await nodes[1].stop('SIGKILL')
  await until('the end of the second answer, told by another node', () => heard[0].some((one) => one.event === 'error' && one.message_id === second.message_id))
  const third = await ask(ada, 'text')
  await until('an answer', () => heard[0].some((one) => one.event === 'response' && one.message_id === third.message_id && one.response === text))
  const ends = heard[0].filter((one) => one.event !== 'message').map((one) => one.message_id)
  assert.deepEqual(ends, [first, second, third].map((one) => one.message_id))
  await nodes[1].restart()
  await until('the answer where the node is back', () => heard[1].some((one) => one.event === 'response' && one.message_id === third.message_id))
})

/** work has people of each transport push and receive while there is trouble: nothing is lost, nothing comes twice, and the order holds. */
async function work(t, name, trouble) {
  t.diagnostic(`SEED=${seed}`)
  const pick = random()
  const topic = `code:project:${name}`
  const people = ['websocket', 'sse', 'longpoll'].map((rung, by) => {
    const duckwire = open(`${name}${by}`, rung)
    const one = { duckwire, channel: duckwire.channel(topic, { after: '0' }), heard: [], handled: [], pushes: [], recovered: [] }
    one.channel.on('edit', (edit, { position }) => one.heard.push({ ...edit, position }))
    one.channel.onJoin(({ recovered }) => one.recovered.push(recovered))
    duckwire.queue(({ payload }) => void one.handled.push(payload.n))
    return one
  })
  await Promise.all(people.map(({ channel }) => channel.join()))
  let over = false
  let left = 0
  const working = people.map(async (one, by) => {
    for (let n = 0; !over; n++) {
      one.pushes.push(one.channel.push('edit', { by, n }))
      if (one.pushes.length > 20) await one.pushes.at(-20)
      await sleep(pick(20))
    }
  })
  const leaving = (async () => {
    for (; !over; left++) { // asked for again until it is known to be kept
      for (let done = false; !done;) {
        const response = await fetch(`${balancer.url}/v1/users/${name}${left % 3}/messages`, {
          method: 'POST', headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
          body: JSON.stringify({ id: `m${left}`, event: 'note', payload: { n: left } }),
        }).catch(() => undefined)
        done = response?.status === 201 || response?.status === 200
        await response?.body?.cancel()
        if (!done) await sleep(20)
      }
    }
  })()
  await trouble(pick)
  over = true
  await Promise.all([...working, leaving])
  for (const { pushes } of people) await Promise.all(pushes)
  const all = people.reduce((n, { pushes }) => n + pushes.length, 0)
  for (const { heard, handled, recovered, duckwire } of people) {
    await until(`all ${all} edits`, () => heard.length >= all)
    const ids = new Set()
    const twice = heard.filter(({ by, n }) => ids.size === ids.add(`${by}:${n}`).size)
    assert.deepEqual(twice.map(({ by, n, position }) => [by, n, position, duckwire.transport]), [])
    for (const by of [0, 1, 2]) {
      assert.deepEqual(heard.filter((edit) => edit.by === by).map(({ n }) => n), count(people[by].pushes.length))
    }
    const by = people.findIndex((one) => one.handled === handled)
    const mine = count(left).filter((n) => n % 3 === by)
    await until('all messages', () => handled.length >= mine.length)
    assert.deepEqual(handled, mine)
    assert.ok(recovered.every(Boolean), 'a channel was told of a gap that there was not')
    assert.equal(duckwire.outbox.size, 0)
  }
  t.diagnostic(`${all} edits, ${left} messages`)
}

const kills = Number(process.env.KILLS ?? 6) // `make nodes` has more

test('nodes and Redis are killed', { timeout: 600_000 + kills * 60_000 }, (t) => work(t, 'killed', async (pick) => {
  for (let n = 0; n < kills; n++) {
    await sleep(200 + pick(800))
    if (n % 3 === 2) {
      await redis.kill()
      await redis.start()
    } else {
      await nodes[pick(3)].restart('SIGKILL')
    }
  }
}))

test('a rolling restart', (t) => work(t, 'rolled', async () => {
  for (const node of nodes) {
    await node.restart('SIGTERM')
    await sleep(500)
  }
}))
