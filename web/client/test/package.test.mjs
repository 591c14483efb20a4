// The package as users get it: packed from a clone, installed in an empty project, and loaded from the server.
//
// Only in make test-all: it needs npm's registry, and Chromium.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { launch, servePage } from '../../../handlers/interop/lib/browser.mjs'
import { hung, piece, startServer, startUpstream, until, within } from './lib/client.mjs'
import { firstRecipe, program, readme, recipes } from './lib/recipes.mjs'

const client = resolve(import.meta.dirname, '..')
const root = resolve(client, '../..')
const folder = mkdtempSync(join(tmpdir(), 'duckwire-package-'))
const project = join(folder, 'project')
const installed = join(project, 'node_modules/duckwire')

let upstream, server, site, browser

before(async () => {
  upstream = await startUpstream({ async *'duckwire-local'() { yield piece('a, b'); yield piece(') {}', 'stop'); yield 'data: [DONE]\n\n' } })
  await install()
  const page = join(project, 'page.js')
  writeFileSync(page, "import * as duckwire from 'duckwire'\nglobalThis.process = { stdout: { write: console.log } }\nglobalThis.installed = duckwire\n")
  site = await servePage(page)
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_UPSTREAM_MODEL: 'duckwire-local', DUCKWIRE_ALLOWED_ORIGINS: site.url })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  site?.close()
  await server?.close()
  upstream?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** install runs the README's commands with a repository that has the files of this folder. */
async function install() {
  const repository = join(folder, 'repository')
  const leftOut = ['node_modules', 'dist']
  cpSync(client, join(repository, 'web/client'), { recursive: true, filter: (path) => !leftOut.includes(basename(path)) })
  await run(repository, 'git', 'init', '--quiet')
  await run(repository, 'git', 'add', '--all')
  await run(repository, 'git', '-c', 'user.name=test', '-c', 'user.email=test@example.com', 'commit', '--quiet', '--message', 'all')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  const [, commands] = /^## Install\n.*?^```sh\n(.*?)^```$/ms.exec(readme)
  const local = commands.replace(/https:\S+/, `file://${repository}`)
  assert.notEqual(local, commands)
  await run(project, 'bash', '-ec', local)
}

async function run(cwd, ...[program, ...args]) {
  const env = { ...process.env, npm_config_prefer_offline: 'true' }
  return (await promisify(execFile)(program, args, { cwd, env, maxBuffer: 1 << 24 })).stdout
}

test('it has its licence, its types, and the sources of its maps', () => {
  assert.equal(readFileSync(join(installed, 'LICENSE'), 'utf8'), readFileSync(join(root, 'LICENSE'), 'utf8'))
  const files = readdirSync(join(installed, 'dist'), { recursive: true })
  const maps = files.filter((file) => file.endsWith('.map'))
  assert.ok(maps.includes('index.js.map') && maps.includes('index.d.ts.map'), maps.join())
  for (const map of maps) {
    const path = join(installed, 'dist', map)
    for (const source of JSON.parse(readFileSync(path, 'utf8')).sources) assert.ok(existsSync(resolve(dirname(path), source)), `${map}: ${source}`)
  }
})

test('the first recipe in Node.js', async () => {
  const file = join(project, 'recipe.js')
  writeFileSync(file, program(server, recipes[0]))
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    let out = ''
    child.stdout.on('data', (data) => {
      out += data
    })
    await until('what it should print', () => firstRecipe.every((line) => line.test(out)))
  } finally {
    child.kill('SIGKILL')
  }
})

test('require() gets it, where Node.js can require modules', { skip: !process.features.require_module }, async () => {
  const code = "const { Duckwire } = require('duckwire'); console.log(typeof Duckwire, require('duckwire/package.json').name)"
  assert.equal(await run(project, process.execPath, '--input-type=commonjs', '-e', code), 'function duckwire\n')
})

const typed = `import { Duckwire, DuckwireError, type Joined } from 'duckwire'
const duckwire = new Duckwire('http://localhost', { token: () => Promise.resolve('t'), transports: ['sse'] })
const joined: Joined = await duckwire.channel('code:project:42').join()
for await (const piece of duckwire.complete({ prompt: 'x' })) console.log(piece.length, joined.recovered, DuckwireError.name)
`
for (const [module, moduleResolution] of [['node16', 'node16'], ['esnext', 'bundler']]) {
  test(`its types, with moduleResolution ${moduleResolution}`, async () => {
    const compile = async (source) => {
      writeFileSync(join(project, 'program.ts'), source)
      const options = { module, moduleResolution, target: 'es2022', lib: ['es2022', 'dom'], types: [], strict: true, noEmit: true }
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['program.ts'] }))
      return run(project, process.execPath, join(client, 'node_modules/typescript/bin/tsc')).catch(({ stdout }) => stdout)
    }
    assert.equal(await compile(typed), '')
    assert.match(await compile(`${typed}duckwire.channel(7)\n`), /^program\.ts\(5,18\): error TS2345/)
  })
}

for (const [from, load] of [
  ['the project, bundled', () => 'globalThis.installed'],
  ['the server', () => `import('${server.url}/console/duckwire.js')`],
]) {
  test(`the first recipe in Chromium, from ${from}`, async () => {
    const page = await browser.newPage()
    let out = ''
    page.on('console', (message) => {
      out += `${message.text()}\n`
    })
    await page.goto(site.url)
    await page.waitForFunction(() => globalThis.installed !== undefined)
    const code = program(server, recipes[0]).replace(/^import (.*) from 'duckwire'$/m, `const $1 = await ${load()}`)
    await within(hung, 'the recipe', page.evaluate(`(async () => {${code}})()`))
    await until('what it should print', () => firstRecipe.every((line) => line.test(out)))
    await page.close()
  })
}
