// What waits for a dead connection gives up in time, whatever the garbage collector takes meanwhile.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { timed } from '../dist/limit.js'
import { hung, within } from './lib/client.mjs'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

const sockets = []
const silent = createServer((socket) => sockets.push(socket)) // which never answers
let url, collecting

before(async () => {
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${silent.address().port}/`
  collecting = setInterval(collect, 50)
})
after(() => {
  clearInterval(collecting)
  for (const socket of sockets) socket.destroy()
  silent.close()
})

test('after its time', async () => {
  const waits = timed(500, new AbortController().signal, (signal) => fetch(url, { signal }))
  await assert.rejects(within(hung, 'the wait', waits), { name: 'TimeoutError' })
})

test('when the caller aborts it', async () => {
  const control = new AbortController()
  const waits = timed(hung, control.signal, (signal) => fetch(url, { signal }))
  setTimeout(() => control.abort(new Error('enough')), 200)
  await assert.rejects(within(hung, 'the wait', waits), { message: 'enough' })
})

test('at once, if it was aborted before', async () => {
  const waits = timed(hung, AbortSignal.abort(new Error('enough')), () => assert.fail('it was called'))
  await assert.rejects(within(hung, 'the wait', waits), { message: 'enough' })
})
