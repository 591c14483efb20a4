// A slow link.

import { once } from 'node:events'
import net from 'node:net'
import { sleep } from '../../../../handlers/interop/lib/wait.mjs'

const piece = 2048 // bytes

/**
 * slowLink listens on a port of its own, and passes a number of bytes per second to the target, and as many back, for all
 * connections together. passed() is how many bytes came down, connections() how many connections there were.
 */
export async function slowLink(target, rate) {
  const { hostname, port } = new URL(target)
  const sockets = new Set()
  let passed = 0
  let connections = 0
  const [up, down] = [line(rate), line(rate)]

  const link = net.createServer((client) => {
    connections++
    const server = net.connect(Number(port), hostname)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('close', () => sockets.delete(socket))
    }
    const over = () => {
      client.destroy()
      server.destroy()
    }
    relay(client, server, up).catch(over)
    relay(server, client, async (size) => {
      await down(size)
      passed += size
    }).catch(over)
  })
  await new Promise((resolve) => link.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${link.address().port}`,
    passed: () => passed,
    connections: () => connections,
    close() {
      link.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** relay passes on what comes, a piece at a time, each when the line is free. */
async function relay(from, to, free) {
  for await (const data of from) {
    for (let at = 0; at < data.length; at += piece) {
      const part = data.subarray(at, at + piece)
      await free(part.length)
      if (!to.write(part)) await once(to, 'drain')
    }
  }
  to.end()
}

/** line returns a function that waits until a number of bytes has passed. */
function line(rate) {
  let free = 0 // when
  return async (size) => {
    free = Math.max(free, performance.now()) + (size / rate) * 1000
    await sleep(free - performance.now())
  }
}
