// Phoenix sockets of the official client, and what the tests do with all of them.

import { LongPoll, Socket } from 'phoenix'
import WebSocket from 'ws'
import { SSETransport } from './ssetransport.mjs'

/** transports are those that the official client can use, by name. */
export const transports = { WebSocket, LongPoll, SSE: SSETransport }

/**
 * connect opens a socket. It comes back at once when it is cut: the tests have no patience. Other options are the client's own; Client is the
 * Socket of another version.
 */
export function connect(url, bearer, { Client = Socket, params, ...options } = {}) {
  const socket = new Client(`${url.replace(/^http/, 'ws')}/socket`, {
    transport: WebSocket,
    params: () => ({ token: bearer, ...params }), // asked for at each connect
    reconnectAfterMs: () => 5,
    rejoinAfterMs: () => 20,
    sessionStorage: store(),
    ...options,
  })
  socket.connect()
  return socket
}

/** store is a sessionStorage of the socket's own. */
export function store() {
  const items = new Map()
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), items }
}

/** answered returns what a push or a join is answered, and fails on any status but ok. */
export function answered(push) {
  return new Promise((resolve, reject) => {
    push.receive('ok', resolve)
    push.receive('error', (response) => reject(Object.assign(new Error(`${push.event}: ${JSON.stringify(response)}`), { response })))
    push.receive('timeout', () => reject(new Error(`${push.event}: no answer`)))
  })
}

/** join joins a topic, and returns its channel. */
export async function join(socket, topic, params = {}) {
  const channel = socket.channel(topic, params)
  channel.joined = await answered(channel.join())
  return channel
}

/** collect keeps an event's payloads. */
export function collect(channel, event) {
  const payloads = []
  channel.on(event, (payload) => payloads.push(payload))
  return payloads
}

/**
 * follow joins a topic in such a way that nothing is lost: every join goes on behind the last position that was seen. Positions stand where
 * other messages have their ref, so the socket is listened to, not the channel. The first join begins at from: "0" is the beginning of what is
 * kept. onJoin is called with the answer to each join.
 */
export function follow(socket, topic, { params = {}, from = 'now', onJoin = () => {} } = {}) {
  let after = from
  const channel = socket.channel(topic, () => ({ ...params, after }))
  socket.onMessage((message) => {
    if (message.topic === topic && message.event !== 'phx_reply' && message.ref) after = message.ref
  })
  channel.join().receive('ok', (answer) => { // again after each rejoin
    after = answer.position
    onJoin(answer)
  })
  return channel
}

export function disconnect(socket) {
  return new Promise((resolve) => socket.disconnect(resolve))
}
