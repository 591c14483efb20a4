// The real binary as a process. DUCKWIRE_BIN is its path; interop_test.go builds it.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const SECRET = 'interop-secret-of-at-least-32-bytes'
const binary = process.env.DUCKWIRE_BIN
if (!binary) throw new Error('DUCKWIRE_BIN must name the duckwire binary: run these tests with go test ./handlers/interop')

/** env returns the environment of a server or a command: ours without the DUCKWIRE_… of the developer's shell. */
function env(more) {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('DUCKWIRE_'))
  return { ...Object.fromEntries(clean), DUCKWIRE_JWT_SECRET: SECRET, ...more }
}

/** token returns a token; without caps it allows everything. */
export function token(user = 'ada', caps = ['*=*'], ttl = '1h') {
  const args = ['token', '--user', user, '--ttl', ttl, ...caps.flatMap((c) => ['--cap', c])]
  const run = spawnSync(binary, args, { env: env(), encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`duckwire token: ${run.stderr}`)
  return run.stdout.trim()
}

/**
 * startServer starts a server and waits until it listens. Of the result, stop(signal) waits for the server's end, and
 * restart() replaces it by a new process at the same address.
 */
export async function startServer(settings = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'duckwire-interop-'))
  const server = { url: '', dir, log: [], pid: () => child.pid, stop, restart, close }
  let child

  async function start(addr) {
    child = spawn(binary, ['serve', '--addr', addr, '--data-dir', dir], {
      cwd: dir, env: env(settings), stdio: ['ignore', 'ignore', 'pipe'],
    })
    const lines = createInterface({ input: child.stderr })
    const running = child
    await new Promise((resolve, reject) => {
      const failed = () => reject(new Error(`duckwire did not start:\n${server.log.join('\n')}`))
      running.once('error', reject)
      running.once('exit', failed)
      lines.on('line', (line) => {
        server.log.push(line)
        if (server.log.length > 100) server.log.shift()
        if (!line.includes('"msg":"listening"')) return
        server.url = JSON.parse(line).url
        running.removeListener('exit', failed)
        resolve()
      })
    })
  }

  function stop(signal = 'SIGTERM') {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
    return new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill(signal)
    })
  }

  async function restart(signal) {
    await stop(signal)
    await start(new URL(server.url).host)
  }

  async function close() {
    const code = await stop()
    rmSync(dir, { recursive: true, force: true })
    if (code !== 0) throw new Error(`duckwire ended with code ${code}:\n${server.log.slice(-20).join('\n')}`)
  }

  // If this process is killed, its server ends, too.
  process.once('exit', () => child.kill('SIGKILL'))
  await start('127.0.0.1:0')
  return server
}

/**
 * api returns a function that calls the REST interface, throws on any status but 2xx, and returns the answer's JSON.
 */
export function api(server, bearer) {
  return async (method, path, body, type = 'application/json') => {
    const response = await fetch(server.url + path, {
      method,
      headers: { authorization: `Bearer ${bearer}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': type }) },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }
}
