// A bad network between clients and the server, as TCP on it feels to them: slow, far away, with stalls where a lost packet
// is sent again, and with black holes.

import { connect, createServer } from 'node:net'

const packet = 1460 // bytes of a TCP segment
const resend = 300 // ms until a lost packet is sent again; twice that if it is lost again
const buffered = 64 * 1024 // bytes on the way, for each direction of a connection; more wait with their sender

/**
 * startNetwork starts a network in front of a server. rate is in bytes a second, for each direction and for all connections
 * together; latency in ms, one way; loss a share of the packets; pick a generator of random numbers.
 *
 * Of the result, opened() is how many connections there were. hole() makes what is on the way stand still, without an end
 * of any connection, until heal(); connections of that time are not answered. forget() is the hole that never ends for
 * the connections of now, as when a router loses its table: new ones work.
 */
export async function startNetwork(target, { rate = 25_000, latency = 150, loss = 0.02, pick }) {
  const { hostname, port } = new URL(target)
  const pairs = new Set()
  const links = { up: { free: 0 }, down: { free: 0 } }
  let [opened, holes] = [0, false]

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    opened++
    const pair = { sockets: [client], dead: false, flows: [] }
    pairs.add(pair)
    keep(client, pair)
    const up = keep(connect({ host: hostname, port: Number(port), allowHalfOpen: true }), pair)
    pair.flows = [flow(pair, client, up, links.up), flow(pair, up, client, links.down)]
    client.resume()
  })

  function keep(socket, pair) {
    if (!pair.sockets.includes(socket)) pair.sockets.push(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {}) // a reset on one side becomes one on the other
    socket.on('close', (failed) => {
      if (failed && !pair.dead && !holes) for (const other of pair.sockets) other.destroy()
      if (pair.sockets.every((s) => s.destroyed)) pairs.delete(pair)
    })
    return socket
  }

  /** flow is one direction of a connection: a queue of packets that arrive one after the other. */
  function flow(pair, from, to, link) {
    const queue = []
    let [waiting, timer, last] = [0, undefined, 0]
    function arrive() {
      timer = undefined
      if (holes || pair.dead) return
      while (queue.length > 0 && queue[0].due <= performance.now()) {
        const { data } = queue.shift()
        if (data === null) to.end()
        else {
          to.write(data)
          waiting -= data.length
        }
      }
      if (waiting < buffered && !pair.dead) from.resume()
      if (queue.length > 0) timer ??= setTimeout(arrive, queue[0].due - performance.now())
    }
    function send(data) {
      const lost = () => (pick(1000) < loss * 1000 ? resend : 0)
      link.free = Math.max(link.free, performance.now()) + ((data?.length ?? 0) / rate) * 1000
      last = Math.max(last, link.free + latency + lost() + lost())
      queue.push({ data, due: last })
      waiting += data?.length ?? 0
    }
    from.on('data', (data) => {
      for (let at = 0; at < data.length; at += packet) send(data.subarray(at, at + packet))
      if (waiting >= buffered) from.pause()
      if (!timer) arrive()
    })
    from.on('end', () => {
      send(null)
      if (!timer) arrive()
    })
    return arrive
  }

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    opened: () => opened,
    hole() {
      holes = true
    },
    heal() {
      holes = false
      for (const { flows } of pairs) for (const arrive of flows) arrive()
    },
    forget() {
      for (const pair of pairs) pair.dead = true
    },
    close() {
      server.close()
      for (const { sockets } of pairs) for (const socket of sockets) socket.destroy()
    },
  }
}
