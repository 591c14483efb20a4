// The outbox by itself, with a sender that answers as a test says: what is sent, what is sent again, and what is given up.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { DuckwireError, memoryStore, Outbox } from '../dist/index.js'

const topic = 'room:1'
const settle = async () => {
  for (let n = 0; n < 10; n++) await turn()
}
const refuse = (code, retryAfter) => new DuckwireError(`refused: ${code}`, code, {}, retryAfter)

/** opened makes an outbox on a joined topic. answer(event, payload, n) decides about the nth frame. */
async function opened(answer = () => ({}), { store = memoryStore(), options } = {}) {
  const outbox = new Outbox(store, 'box', options)
  const frames = []
  const drops = []
  outbox.onDrop((push, error) => drops.push([push.event, error.code]))
  const join = () => outbox.joined(topic, async (event, payload) => {
    frames.push([event, payload])
    const verdict = await answer(event, payload, frames.length)
    if (verdict instanceof Error) throw verdict
    return verdict
  })
  await join()
  return { outbox, frames, drops, store, join, push: (...what) => outbox.push(topic, ...what) }
}

/** outcome is how a push ends: 'ok', or the code or the name of its error. */
const outcome = (push) => push.then(() => 'ok', (error) => error.code ?? error.name)

describe('what is sent', () => {
  for (const [what, payload, frame] of [
    ['an object', { text: 'x' }, { text: 'x', _duckwire: { id: 'X' } }],
    ['an id of the application', { id: 42 }, { id: 42, _duckwire: { id: 'X' } }],
    ['an id that is a string', { id: 'lamp', on: true }, { id: 'lamp', on: true, _duckwire: { id: 'X' } }],
    ['an array', [1, 2, 3], { _duckwire: { id: 'X', payload: [1, 2, 3] } }],
    ['a text', 'text', { _duckwire: { id: 'X', payload: 'text' } }],
    ['an empty text', '', { _duckwire: { id: 'X', payload: '' } }],
    ['a number', 0, { _duckwire: { id: 'X', payload: 0 } }],
    ['false', false, { _duckwire: { id: 'X', payload: false } }],
    ['null', null, { _duckwire: { id: 'X', payload: null } }],
    ['a date, as JSON has it', new Date(0), { _duckwire: { id: 'X', payload: '1970-01-01T00:00:00.000Z' } }],
    ['an undefined member, as JSON has it', { a: 1, b: undefined }, { a: 1, _duckwire: { id: 'X' } }],
    ['the reserved member', { a: 1, _duckwire: { durable: true, to: ['bob'] } }, { a: 1, _duckwire: { durable: true, to: ['bob'], id: 'X' } }],
    ['a reserved name with another meaning', { _duckwire: 7 }, { _duckwire: { id: 'X', payload: { _duckwire: 7 } } }],
  ]) {
    test(what, async () => {
      const box = await opened()
      await box.push('say', payload)
      const [[, sent]] = box.frames
      assert.match(sent._duckwire.id, /^[A-Za-z0-9._~:-]{20,64}$/)
      sent._duckwire.id = 'X'
      assert.deepEqual(sent, frame)
    })
  }

  test('options, and ids that the application chooses', async () => {
    const box = await opened()
    await box.push('say', { a: 1 }, { id: 'mine', durable: true, to: ['bob'] })
    await box.push('say', { a: 1, _duckwire: { id: 'also-mine' } })
    assert.deepEqual(box.frames.map(([, { _duckwire }]) => _duckwire), [{ id: 'mine', durable: true, to: ['bob'] }, { id: 'also-mine' }])
  })

  test('what the payload was when it was pushed', async () => {
    const store = memoryStore()
    const before = new Outbox(store, 'box')
    const payload = { list: [1] }
    before.push(topic, 'say', payload).catch(() => {})
    payload.list.push(2)
    const { frames } = await opened(undefined, { store })
    await settle()
    assert.deepEqual(frames[0][1].list, [1])
  })

  test('every push has an id of its own, and keeps it over reloads', async () => {
    const store = memoryStore()
    const lost = new Promise(() => {})
    const one = await opened(() => lost, { store })
    for (let n = 0; n < 3; n++) void one.push('say', { n })
    const two = await opened(undefined, { store })
    for (let n = 3; n < 6; n++) await two.push('say', { n })
    const ids = (frames) => frames.map(([, { _duckwire }]) => _duckwire.id)
    assert.deepEqual(two.frames.map(([, { n }]) => n), [0, 1, 2, 3, 4, 5])
    assert.deepEqual(ids(two.frames).slice(0, 3), ids(one.frames))
    assert.equal(new Set(ids(two.frames)).size, 6)
    assert.deepEqual(store.keys(''), [])
  })
})

describe('what JSON cannot hold fails at once', () => {
  const cycle = {}
  cycle.self = cycle
  for (const [what, payload] of Object.entries({
    bigint: 1n, 'a bigint inside': { n: 1n }, cycle, undefined: undefined, function: () => {}, 'a function inside': { f() {} },
    symbol: Symbol('s'), NaN: { n: NaN }, 'a hole': [1, undefined],
    'a map': new Map([[1, 2]]), 'a set inside': { s: new Set() }, bytes: new Uint8Array(2), 'a buffer inside': [new ArrayBuffer(2)],
    error: new Error('e'), regexp: /e/, promise: Promise.resolve(),
  })) {
    test(what, async () => {
      const box = await opened(() => new Promise(() => {}))
      await assert.rejects(box.push('say', payload), TypeError)
      assert.deepEqual([box.outbox.size, box.frames, box.store.keys('')], [0, [], []])
    })
  }

  test('and what no server takes', async () => {
    const box = await opened()
    assert.equal(await outcome(box.push('say', 'x'.repeat(5 << 20))), 'too_large')
    assert.equal(await outcome(box.push('say', 'x'.repeat(3 << 20))), 'ok')
    assert.equal(box.frames.length, 1)
  })
})

describe('what is refused', () => {
  for (const code of ['invalid', 'too_large', 'forbidden', 'conflict', 'not_found', 'unauthorized', 'something else']) {
    test(`for good: ${code}`, async () => {
      const box = await opened((event) => (event === 'bad' ? refuse(code) : {}))
      const ends = await Promise.all(['good', 'bad', 'good'].map((event) => outcome(box.push(event, {}))))
      assert.deepEqual(ends, ['ok', code, 'ok'])
      assert.deepEqual(box.drops, [['bad', code]])
      assert.deepEqual([box.frames.length, box.outbox.size, box.store.keys('')], [3, 0, []])
    })
  }

  test('for good, of an earlier page: the application is told', async () => {
    const store = memoryStore()
    new Outbox(store, 'box').push(topic, 'bad', { n: 1 }).catch(() => {})
    const box = await opened(() => refuse('invalid'), { store })
    await settle()
    assert.deepEqual([box.drops, box.outbox.size, store.keys('')], [[['bad', 'invalid']], 0, []])
  })

  test('for good with the join', async () => {
    const store = memoryStore()
    new Outbox(store, 'box').push(topic, 'early', {}).catch(() => {})
    const outbox = new Outbox(store, 'box')
    const drops = []
    outbox.onDrop(({ event }, { code }) => drops.push([event, code]))
    const late = outcome(outbox.push(topic, 'late', {}))
    const other = outbox.push('room:2', 'other', {})
    other.catch(() => {})
    await outbox.refused(topic, refuse('forbidden'))
    assert.equal(await late, 'forbidden')
    assert.deepEqual([drops, outbox.size], [[['early', 'forbidden'], ['late', 'forbidden']], 1])
  })

  describe('for now', () => {
    for (const code of ['rate_limited', 'unavailable', 'draining', 'timeout']) {
      test(`${code}: all pushes wait, and keep their order`, async () => {
        const box = await opened((event, _payload, n) => (n <= 3 ? refuse(code, 1) : { event }))
        const pushes = ['a', 'b', 'c'].map((event) => box.push(event, {}))
        await Promise.all(pushes)
        assert.deepEqual(box.frames.slice(-3).map(([event]) => event), ['a', 'b', 'c'])
        assert.equal(new Set(box.frames.map(([, { _duckwire }]) => _duckwire.id)).size, 3)
        assert.deepEqual(box.drops, [])
      })
    }

    test('queue_full: only that push waits', async () => {
      let full = true
      const box = await opened((event) => (event === 'to bob' && full ? refuse('queue_full', 1) : {}))
      const waiting = Array.from({ length: 40 }, () => box.push('to bob', {}))
      await Promise.all(Array.from({ length: 100 }, () => box.push('to ada', {})))
      assert.equal(box.outbox.size, 40)
      full = false
      await Promise.all(waiting)
      assert.equal(box.outbox.size, 0)
    })

    test('internal: for a few times', async (t) => {
      t.mock.method(Math, 'random', () => 0) // no pause
      const box = await opened((event) => (event === 'poison' ? refuse('internal') : {}))
      assert.equal(await outcome(box.push('poison', {})), 'internal')
      assert.equal(box.frames.length, 5)
    })
  })
})

test('a lost connection: pushes without a reply are sent again, in order', async () => {
  let replies = 0
  const box = await opened(() => (replies++ < 2 ? {} : replies < 6 ? new Promise(() => {}) : {}))
  const pushes = [0, 1, 2, 3, 4].map((n) => box.push('say', { n }))
  await settle()
  box.outbox.lost(topic)
  await box.join()
  await Promise.all(pushes)
  assert.deepEqual(box.frames.map(([, { n }]) => n), [0, 1, 2, 3, 4, 2, 3, 4])
})

test('large pushes are sent one at a time', async () => {
  let [flying, most] = [0, 0]
  const box = await opened(async () => {
    most = Math.max(most, ++flying)
    await turn()
    flying--
  })
  await Promise.all([1, 2, 3].map((n) => box.push('say', { n, text: 'x'.repeat(300_000) })))
  assert.equal(most, 1)
})

test('a connection that is closed because of a size: the largest push is given up', async () => {
  const box = await opened((event, _payload, n) => (n <= 3 ? new Promise(() => {}) : {}))
  const ends = ['small', 'large', 'small'].map((event) => outcome(box.push(event, event === 'large' ? 'x'.repeat(100_000) : 'x')))
  await settle()
  box.outbox.lost(topic)
  box.outbox.tooLarge()
  await box.join()
  assert.deepEqual(await Promise.all(ends), ['ok', 'too_large', 'ok'])
  box.outbox.lost(topic)
  box.outbox.tooLarge() // says nothing about what was sent before
  assert.deepEqual(box.drops, [['large', 'too_large']])
})

test('damaged entries of the store are left out', async () => {
  const store = memoryStore()
  new Outbox(store, 'box').push(topic, 'say', { n: 1 }).catch(() => {})
  store.set('box:0', '{"topic":7}')
  store.set('box:1', 'null')
  store.set('box:2', '{')
  const box = await opened(undefined, { store })
  await settle()
  assert.deepEqual(box.frames.map(([, { n }]) => n), [1])
})
