// Each recipe of the README is run as it stands, by a process of its own.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { api, hung, piece, startServer, startUpstream, token, within } from './lib/client.mjs'
import { firstRecipe, program, recipes } from './lib/recipes.mjs'

const folder = new URL('../dist/recipes/', import.meta.url) // within the package, so that its name means itself

// What a recipe must print, in any order; and what others do meanwhile.
const expected = {
  'A completion that survives everything': firstRecipe,
  'A channel that misses nothing': [/^saved main.go \S+$/m, /^published \S+$/m],
  'Messages that waited for you': [/^message review \{ n: 7 \} app$/m],
  'Who is here, and where': [/^here ada$/m],
  Tokens: [/^sign in again: signed out$/m],
  'Show people what happens': [/^connected by sse$/m],
}

let upstream, server

before(async () => {
  mkdirSync(folder, { recursive: true })
  upstream = await startUpstream({ async *'duckwire-local'() { yield piece('a, b'); yield piece(') {}', 'stop'); yield 'data: [DONE]\n\n' } })
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_UPSTREAM_MODEL: 'duckwire-local' })
  await api(server, token('app'))('POST', '/v1/users/ada/messages', { event: 'review', payload: { n: 7 } })
})
after(async () => {
  await server?.close()
  upstream?.close()
  rmSync(folder, { recursive: true, force: true })
})

test('the README has these recipes', () => assert.deepEqual(recipes.map(({ title }) => title), Object.keys(expected)))

for (const [n, recipe] of recipes.entries()) {
  const { title } = recipe
  test(title, async () => {
    const file = new URL(`recipe-${n}.mjs`, folder)
    writeFileSync(file, program(server, recipe))
    const child = spawn(process.execPath, [file.pathname], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      let out = ''
      const done = (async () => {
        for await (const data of child.stdout) {
          out += data
          if (expected[title].every((line) => line.test(out))) return
        }
        throw new Error(`it has printed:\n${out}`)
      })()
      await within(hung, 'what it should print', done)
    } finally {
      child.kill('SIGKILL')
    }
  })
}
