// A real redis-server on a Unix socket in its own folder.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './wait.mjs'

/** startRedis starts a server with settings as on its command line. kill() simulates a crash, start() restarts it. */
export async function startRedis(settings = []) {
  const dir = mkdtempSync(join(tmpdir(), 'duckwire-redis-'))
  const path = join(dir, 's')
  let child
  const answers = () => new Promise((resolve) => {
    const socket = createConnection(path, () => socket.end('PING\r\n'))
    socket.once('data', (data) => resolve(String(data).startsWith('+PONG')))
    socket.once('error', () => resolve(false))
  })
  const redis = {
    url: `unix://${path}`,
    async start() {
      child = spawn('redis-server', ['--port', '0', '--unixsocket', path, '--dir', dir, '--save', '', ...settings], { stdio: 'ignore' })
      await until('redis-server', answers)
    },
    kill() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      return ended
    },
    async close() {
      await redis.kill()
      rmSync(dir, { recursive: true, force: true })
    },
  }
  process.once('exit', () => child.kill('SIGKILL'))
  await redis.start()
  return redis
}
