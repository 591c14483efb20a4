// Coding agents of the command line, each in its own process: the model asks for two tools, which the agent runs.
//
// An agent sees a home folder and a work folder of its own, and of the network only the loopback.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startServer, token } from '../../lib/server.mjs'
import { startUpstream } from '../../lib/upstream.mjs'
import { hung, within } from '../../lib/wait.mjs'
import { agent, answer, secret } from './script.mjs'

const installed = (...path) => join(dirname(fileURLToPath(import.meta.url)), 'node_modules', ...path)

const opencode = installed(`opencode-${process.platform}-${process.arch}`, 'bin/opencode')

/**
 * Each of agents has setUp(side, dirs), which writes its configuration and returns {command, env}. The prompt is the
 * command's last argument. side is {baseURL, apiKey}, and dirs {home, work}.
 */
const agents = [
  {
    name: 'opencode 1',
    program: opencode,
    setUp({ baseURL, apiKey }, { home, work }) {
      const provider = { npm: '@ai-sdk/openai-compatible', name: 'up', options: { baseURL, apiKey }, models: { agent: { name: 'agent', tool_call: true } } }
      write(join(work, 'opencode.json'), JSON.stringify({ model: 'up/agent', small_model: 'up/agent', share: 'disabled', autoupdate: false, provider: { up: provider } }))
      const off = ['AUTOUPDATE', 'DEFAULT_PLUGINS', 'LSP_DOWNLOAD', 'MODELS_FETCH'].map((what) => [`OPENCODE_DISABLE_${what}`, '1'])
      const env = { XDG_DATA_HOME: join(home, 'data'), XDG_CACHE_HOME: join(home, 'cache'), XDG_CONFIG_HOME: join(home, 'config'), XDG_STATE_HOME: join(home, 'state') }
      return { command: [opencode, 'run'], env: { ...Object.fromEntries(off), ...env } }
    },
  },
  {
    name: "Continue's cn 1",
    setUp({ baseURL, apiKey }, { home }) {
      const model = { name: 'agent', provider: 'openai', model: 'agent', apiBase: baseURL, apiKey, roles: ['chat'], capabilities: ['tool_use'] }
      const config = join(home, 'config.yaml')
      write(config, JSON.stringify({ name: 'test', version: '1.0.0', schema: 'v1', models: [model] })) // JSON is YAML
      const env = { CONTINUE_GLOBAL_DIR: join(home, 'continue'), CONTINUE_TELEMETRY_ENABLED: '0', CONTINUE_METRICS_ENABLED: '0' }
      return { command: [process.execPath, installed('@continuedev/cli/dist/cn.js'), '--auto', '--config', config, '--print'], env }
    },
  },
  {
    name: 'qwen-code 0.24',
    leastNode: 22,
    setUp({ baseURL, apiKey }, { home }) {
      write(join(home, '.qwen/settings.json'), JSON.stringify({ telemetry: { enabled: false }, privacy: { usageStatisticsEnabled: false }, general: { enableAutoUpdate: false } }))
      const options = ['--yolo', '--auth-type', 'openai', '--openai-base-url', baseURL, '--openai-api-key', apiKey, '--model', 'agent']
      return { command: [process.execPath, installed('@qwen-code/qwen-code/cli-entry.js'), ...options], env: { QWEN_CODE_SUPPRESS_YOLO_WARNING: '1' } }
    },
  },
]

const sides = {}
let upstream, server
before(async () => {
  upstream = await startUpstream({ agent }, { models: [{ id: 'agent', object: 'model', created: 1, owned_by: 'us' }] })
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url })
  sides.directly = { baseURL: upstream.url, apiKey: 'sk-right' }
  sides['through the server'] = { baseURL: `${server.url}/v1`, apiKey: token() }
})
after(async () => {
  await server?.close()
  upstream?.close()
})

function cannotRun({ leastNode = 0, program }) {
  if (parseInt(process.versions.node) < leastNode) return `it needs Node.js ${leastNode}`
  return program && !existsSync(program) && 'package.json has no program for this machine'
}

for (const one of agents) {
  describe(one.name, { skip: cannotRun(one) }, () => {
    for (const side of ['directly', 'through the server']) {
      test(`reads and writes a file, ${side}`, () => doJob(one, sides[side]))
    }
  })
}

/** doJob has an agent copy a word from one file to another, and checks what it did and said. */
async function doJob(one, side) {
  const dir = mkdtempSync(join(tmpdir(), 'duckwire-agent-'))
  const dirs = { home: join(dir, 'home'), work: join(dir, 'work') }
  try {
    write(join(dirs.work, 'note.txt'), `${secret}\n`)
    const first = upstream.requests.length
    const { command, env } = one.setUp(side, dirs)
    const { code, said } = await within(4 * hung, one.name, run([...command, `The folder is [${dirs.work}].`], dirs, env))
    assert.equal(code, 0, said)
    const results = upstream.requests.slice(first).at(-1).body.messages.filter((m) => m.role === 'tool')
    assert.deepEqual(results.map((m) => m.tool_call_id), ['call_read', 'call_write'], said)
    assert.match(JSON.stringify(results[0].content), new RegExp(secret), 'the model was told what is in the file')
    assert.equal(readFileSync(join(dirs.work, 'copy.txt'), 'utf8'), `${secret}\n`)
    assert.ok(said.includes(answer), said)
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** run runs a command to its end, and returns its exit code and what it said. Then all that it started is ended. */
async function run([program, ...args], { home, work }, more) {
  const nowhere = 'http://127.0.0.1:9' // nobody listens there
  const env = {
    PATH: [dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter), HOME: home, TMPDIR: home, NO_COLOR: '1', CI: '1',
    HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, NO_PROXY: '127.0.0.1,localhost', DO_NOT_TRACK: '1', ...more,
  }
  const child = spawn(program, args, { cwd: work, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const killAll = () => {
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {} // the group has ended
  }
  process.once('exit', killAll)
  let said = ''
  for (const out of [child.stdout, child.stderr]) out.setEncoding('utf8').on('data', (text) => (said += text))
  try {
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve))
    return { code, said }
  } finally {
    killAll()
    process.removeListener('exit', killAll)
  }
}

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
