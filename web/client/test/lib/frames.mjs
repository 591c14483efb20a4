// A proxy that sees each frame: those of WebSockets, requests and their answers, and the blocks of event streams. It can
// hold each, and cut there.

import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'

/**
 * frameProxy starts one. see(way, text) is called with each frame before it goes on, way being 'up' or 'down'; the frame
 * waits for what it returns: 'before' cuts the connection in its place, 'after' cuts behind it, and anything else lets it
 * through. Upgrades and requests are frames, too, and so is each answer that is no event stream, as a whole.
 */
export async function frameProxy(target, see) {
  const { hostname, port } = new URL(target)
  const sockets = new Set()
  const keep = (socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {}) // cuts are what this is for
    socket.on('close', () => sockets.delete(socket))
    return socket
  }

  const server = createServer((req, res) => void exchange(req, res).catch(() => res.destroy()))
  server.on('connection', keep)
  server.on('upgrade', tunnel)

  async function exchange(req, res) {
    const body = await buffer(req)
    const verdict = await see('up', `${req.method} ${req.url}\n${body}`)
    if (verdict === 'before') return req.socket.destroy()
    const headers = { ...req.headers, host: `${hostname}:${port}`, connection: 'close' }
    const up = request({ hostname, port, method: req.method, path: req.url, headers, agent: false })
    const answered = new Promise((resolve, reject) => up.once('response', resolve).once('error', reject))
    up.end(body)
    if (verdict === 'after') {
      const cut = () => req.socket.destroy()
      up.once('finish', cut)
      if (req.method !== 'GET') return void (await answered).resume()
      up.once('finish', () => setImmediate(() => up.destroy()))
      return void (await answered.catch(() => {}))
    }
    res.once('close', () => up.destroy())
    const answer = await answered
    const { 'content-length': _, 'transfer-encoding': __, ...rest } = answer.headers
    const stream = rest['content-type']?.startsWith('text/event-stream')
    const head = () => res.headersSent || res.writeHead(answer.statusCode, { ...rest, connection: 'close' })
    if (stream) head().flushHeaders()
    for await (const part of stream ? blocks(answer) : [await buffer(answer)]) {
      const verdict = await see('down', part.toString())
      if (verdict === 'before') return res.socket?.end()
      head()
      if (part.length > 0) res.write(part)
      if (verdict === 'after') return res.socket?.end()
    }
    res.end()
  }

  function tunnel(req, client) {
    const up = keep(connect(Number(port), hostname))
    let over = false
    // With a FIN: a reset would take with it what the other side has not read.
    const cut = () => {
      over = true
      client.end()
      up.end()
    }
    for (const socket of [client, up]) socket.on('close', cut)
    const pass = async (way, to, frame, text) => {
      if (over) return
      const verdict = await see(way, text)
      if (over) return
      if (verdict !== 'before') to.write(frame)
      if (verdict) cut()
    }
    const relay = (way, from, to, first, next) => {
      let rest = Buffer.alloc(0)
      let turn = first
      from.on('data', (data) => {
        rest = Buffer.concat([rest, data])
        for (let size; (size = next(rest)) > 0; ) {
          const frame = rest.subarray(0, size)
          rest = rest.subarray(size)
          turn = turn.then(() => pass(way, to, frame, textOf(frame)))
        }
      })
    }
    const lines = [`${req.method} ${req.url} HTTP/1.1`]
    for (let i = 0; i < req.rawHeaders.length; i += 2) lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`)
    const head = `${lines.join('\r\n')}\r\n\r\n`
    relay('up', client, up, pass('up', up, head, head), frameSize)
    let opened = false
    relay('down', up, client, Promise.resolve(), (rest) => {
      if (opened) return frameSize(rest)
      const end = rest.indexOf('\r\n\r\n') + 4
      opened = end >= 4
      return opened ? end : 0
    })
  }

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** blocks cuts an event stream into its blocks. */
async function* blocks(answer) {
  let rest = ''
  for await (const data of answer.setEncoding('utf8')) {
    const parts = (rest + data).split('\n\n')
    rest = parts.pop()
    for (const part of parts) yield `${part}\n\n`
  }
}

/** frameSize is the size of the WebSocket frame that the bytes begin with; 0 where it is not whole (RFC 6455 §5.2). */
function frameSize(bytes) {
  const { at, size } = frameHead(bytes)
  return at > 0 && bytes.length >= at + size ? at + size : 0
}

/** frameHead is where a frame's payload begins, and its size; at is 0 where that is not known yet. */
function frameHead(bytes) {
  if (bytes.length < 2) return { at: 0 }
  const short = bytes[1] & 0x7f
  const extra = { 126: 2, 127: 8 }[short] ?? 0
  const masked = bytes[1] & 0x80
  if (bytes.length < 2 + extra) return { at: 0 }
  const size = extra === 2 ? bytes.readUInt16BE(2) : extra === 8 ? Number(bytes.readBigUInt64BE(2)) : short
  return { at: 2 + extra + (masked ? 4 : 0), size, mask: masked && bytes.subarray(2 + extra, 6 + extra) }
}

/** textOf is a frame's payload, or the head of an answer. */
function textOf(frame) {
  if (frame.subarray(0, 5).toString() === 'HTTP/') return frame.toString()
  const { at, mask } = frameHead(frame)
  return Buffer.from(frame.subarray(at).map((byte, i) => (mask ? byte ^ mask[i % 4] : byte))).toString()
}
