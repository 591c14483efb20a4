// Go clients. GOCLIENTS is the path of the program of this folder; matrix_test.go builds it.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { matrix } from '../lib/run.mjs'

const goClient = (name, lacks = []) => ({
  name,
  lacks,
  async connect({ baseURL, apiKey }) {
    const call = (kind) => (ask) => run({ client: name, kind, baseURL, apiKey }, ask)
    return { chat: call('chat'), complete: call('complete'), models: call('models') }
  },
})

/** run runs the program, and returns the outcome that it wrote. */
async function run(call, { signal, onText = () => {}, messages, ...ask }) {
  const child = spawn(process.env.GOCLIENTS, [JSON.stringify({ ...call, ...ask })], { stdio: ['pipe', 'pipe', 'inherit'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.stdin.on('error', () => {}) // it may have ended
  signal?.addEventListener('abort', () => child.stdin.write('cancel\n'))
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line)
      if (said.piece === undefined) return said
      onText(said.piece)
    }
    throw new Error('the program wrote no outcome')
  } finally {
    kill()
    process.removeListener('exit', kill)
  }
}

matrix([goClient('openai-go 3'), goClient('openai-go 2'), goClient('go-openai')])
