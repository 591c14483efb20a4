// A proxy between a client and the server that cuts connections after some bytes of the response.

import net from 'node:net'

/**
 * cutter listens on a port of its own. limit is the number of bytes that the first connection may pass to the client:
 * headers, chunk sizes and body. Other connections are not limited. limit may also be a function that returns the
 * number for each connection. With http10 the requests to the server are HTTP/1.0: the body then ends with the
 * connection, and a cut looks like a clean end. With upgrades: false requests for a WebSocket are cut immediately.
 *
 * Of the result, sent() is what the first connection has passed, requests() has all requests so far, and cuts() is the
 * number of cuts. cut() cuts all connections now.
 */
export async function cutter(target, limit, { http10 = false, upgrades = true, retry, reset = () => false, spare } = {}) {
  const { hostname, port } = new URL(target)
  const sockets = new Set()
  let connections = 0
  let cuts = 0
  const sent = []
  const requests = []

  const proxy = net.createServer((client) => {
    const first = connections++ === 0
    let left = typeof limit === 'function' ? limit() : first ? limit : Infinity
    const server = net.connect(Number(port), hostname)
    for (const s of [client, server]) {
      sockets.add(s)
      s.setNoDelay(true)
      s.on('error', () => {}) // resets are what this is for
      s.on('close', () => {
        sockets.delete(s)
        client.destroy()
        server.destroy()
      })
    }
    client.on('data', (data) => {
      const text = data.toString('latin1') // clients write a request's head at once
      if (/^[A-Z]+ \S+ HTTP\/1.1\r\n/.test(text)) {
        requests.push(text)
        if (!upgrades && /^upgrade: websocket\r$/im.test(text)) return cut()
        if (http10) data = Buffer.from(text.replace('HTTP/1.1', 'HTTP/1.0').replace(/^connection: .*\r\n/im, ''), 'latin1')
      }
      server.write(data)
    })
    let passed = Buffer.alloc(0)
    if (left === 0 && !spare?.(passed)) return reset() ? refuse() : cut()
    server.on('data', (data) => {
      const at = retry === undefined ? -1 : data.indexOf('retry: 1000\n')
      if (at >= 0) data.write(String(retry).padStart(4, '0'), at + 'retry: '.length)
      if (spare && left < Infinity) {
        passed = Buffer.concat([passed, data])
        const before = passed.length - data.length
        while (left < data.length && spare(passed.subarray(0, before + left))) left++
        if (left === data.length && spare(passed)) left++
      }
      data = data.subarray(0, left)
      left -= data.length
      if (first) sent.push(data)
      if (left > 0) client.write(data)
      else cut(data)
    })
    server.on('end', () => client.end())

    function refuse() {
      cuts++
      server.destroy()
      client.resetAndDestroy()
    }

    // cut ends the connection with a FIN, because a reset would discard bytes that the client has not read.
    function cut(data) {
      cuts++
      server.removeAllListeners('data')
      server.destroy()
      client.end(data)
    }
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', 1024, resolve))
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    sent: () => Buffer.concat(sent),
    requests: () => requests,
    cuts: () => cuts,
    cut() {
      for (const s of sockets) s.destroy()
    },
    close() {
      proxy.close()
      for (const s of sockets) s.destroy()
    },
  }
}

/**
 * answer parses what was received: the body of the first response as far as it arrived, its chunks joined (RFC 9112
 * §7.1), and whether the cut was in a header, of the first response or of the next one on the same connection.
 */
export function answer(received) {
  const start = received.indexOf('\r\n\r\n') + 4
  if (start < 4) return { body: Buffer.alloc(0), inHead: true }
  const head = received.subarray(0, start).toString('latin1')
  let rest = received.subarray(start)
  if (!/^transfer-encoding: chunked\r$/im.test(head)) return { body: rest, inHead: false }
  const parts = []
  for (;;) {
    const line = rest.indexOf('\r\n')
    const size = line < 0 ? NaN : Number.parseInt(rest.subarray(0, line).toString('latin1'), 16)
    if (!(size > 0)) return { body: Buffer.concat(parts), inHead: size === 0 && rest.length >= line + 4 }
    parts.push(rest.subarray(line + 2, line + 2 + size))
    rest = rest.subarray(line + 2 + size + 2)
  }
}
