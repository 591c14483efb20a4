// A real nginx, as configured by an administrator who did not think of streams. The folder proxies has many more
// proxies; this one is for browsers.

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './wait.mjs'

/** upgrades is what a location needs to pass WebSockets and streams. */
export const upgrades = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 1h;'

/**
 * startNginx starts an nginx in front of a server, or of several in turn. It does not upgrade connections, unless more
 * does, which is added to its location. It serves the servers below base, such as "/duck", which it passes on, unless
 * strip is true.
 */
export async function startNginx(origins, more = '', { base = '', strip = false } = {}) {
  const servers = [origins].flat().map((url) => `server ${new URL(url).host} max_fails=0;`).join(' ')
  const dir = mkdtempSync(join(tmpdir(), 'duckwire-nginx-'))
  const port = await freePort()
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')
  mkdirSync(join(dir, 'logs'))
  writeFileSync(join(dir, 'nginx.conf'), `
    daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/log; ${process.getuid() === 0 ? 'user root;' : ''}
    events {}
    http {
      access_log off; ${folders}
      upstream nodes { ${servers} }
      server { listen 127.0.0.1:${port}; location ${base}/ { proxy_pass http://nodes${strip ? '/' : ''}; ${more} } }
    }`)
  const child = spawn('nginx', ['-p', dir, '-e', join(dir, 'log'), '-c', join(dir, 'nginx.conf')], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  process.once('exit', () => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}${base}`
  await until('nginx', () => fetch(`${url}/healthz`).then((r) => r.ok, () => false))
  return {
    url,
    async close() {
      child.kill()
      await ended
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
