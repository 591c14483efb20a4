// A proxy of the unhelpful kind. It speaks HTTP: what it does to answers and to upgrades is chosen by name.

import { createServer, request } from 'node:http'
import { connect } from 'node:net'

/**
 * startProxy starts one. upgrades: 'pass', 'refuse' (403), 'hang' (no answer) or 'swallow' (101, and then nothing comes back). streams, which are
 * answers of text/event-stream: 'pass', 'hold' (until they end), 'buffer' (the first 16 KiB, and all that follows, until there are 16 KiB more),
 * 'threshold' (held until there are 16 KiB, live from then on), 'clump' (what comes within 4.5 s comes at once).
 * Both can be changed while it runs. down cuts everything and lets nothing in.
 */
export async function startProxy(target, { upgrades = 'pass', streams = 'pass' } = {}) {
  const { hostname, port } = new URL(target)
  const sockets = new Set()
  const proxy = { url: '', upgrades, streams, seen: [], down: false, cut, close }

  const server = createServer((req, res) => {
    if (proxy.down) return req.socket.destroy()
    proxy.seen.push(`${req.method} ${req.url}`)
    const up = request({ hostname, port, method: req.method, path: req.url, headers: { ...req.headers, host: `${hostname}:${port}` } }, (answer) => {
      const stream = (answer.headers['content-type'] ?? '').startsWith('text/event-stream')
      forward(answer, res, stream ? proxy.streams : 'pass')
    })
    up.on('error', () => res.destroy())
    res.on('close', () => up.destroy())
    req.pipe(up)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (req, client, head) => {
    proxy.seen.push(`UPGRADE ${req.url}`)
    if (proxy.down) return client.destroy()
    if (proxy.upgrades === 'hang') return
    if (proxy.upgrades === 'refuse') return client.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    tunnel(req, client, head, proxy.upgrades === 'swallow')
  })

  function tunnel(req, client, head, swallow) {
    const up = connect(Number(port), hostname)
    const lines = [`${req.method} ${req.url} HTTP/1.1`]
    for (let i = 0; i < req.rawHeaders.length; i += 2) lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`)
    up.write(`${lines.join('\r\n')}\r\n\r\n`)
    up.write(head)
    let opened = false
    up.on('data', (data) => {
      if (!swallow || !opened) client.write(data)
      opened = true
    })
    if (!swallow) client.on('data', (data) => up.write(data))
    for (const [a, b] of [[up, client], [client, up]]) {
      a.on('close', () => b.destroy())
      a.on('error', () => {})
    }
  }

  function cut() {
    for (const s of sockets) s.destroy()
  }
  function close() {
    server.close()
    cut()
  }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy.url = `http://127.0.0.1:${server.address().port}`
  return proxy
}

const size = 16 * 1024

function forward(answer, res, how) {
  let held = []
  let begun = false
  let timer
  function let_go() {
    clearTimeout(timer)
    timer = undefined
    if (!begun) res.writeHead(answer.statusCode, answer.rawHeaders)
    begun = true
    res.write(Buffer.concat(held))
    held = []
  }
  if (how === 'pass') {
    res.writeHead(answer.statusCode, answer.rawHeaders)
    res.flushHeaders()
  }
  answer.on('data', (data) => {
    if (how === 'pass') return res.write(data)
    held.push(data)
    const length = held.reduce((sum, part) => sum + part.length, 0)
    if ((how === 'threshold' && begun) || (how !== 'hold' && how !== 'clump' && length >= size)) let_go()
    if (how === 'clump') timer ??= setTimeout(let_go, begun ? 4500 : 0)
  })
  answer.on('end', () => {
    if (how !== 'pass') let_go()
    res.end()
  })
  answer.on('error', () => res.destroy())
}
