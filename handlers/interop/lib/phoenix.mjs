// Phoenix sockets of the official client, and what all tests need for them.

import { LongPoll, Socket } from 'phoenix'
import WebSocket from 'ws'
import { SSETransport } from './ssetransport.mjs'

/** transports are the transports of the official client, by name. */
export const transports = { WebSocket, LongPoll, SSE: SSETransport }

/**
 * connect opens a socket. It reconnects immediately after a cut, so that tests do not take long. Other options are the
 * client's own; Client is the Socket of another version.
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

/** store is the socket's own sessionStorage. */
export function store() {
  const items = new Map()
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), items }
}

/** answered returns the reply to a push or a join, and fails on any status but ok. */
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

/** collect records the payloads of an event. */
export function collect(channel, event) {
  const payloads = []
  channel.on(event, (payload) => payloads.push(payload))
  return payloads
}

/**
 * follow joins a topic so that no event is lost: every join resumes at the last position. Positions are in the ref of
 * messages, which the channel's own hook sees of what it hands over; the ref of an event of the protocol is none: that of
 * a phx_close is the ref of an earlier join. The first join begins at from; "0" is the beginning of the history. onJoin is
 * called with the reply to each join.
 */
export function follow(socket, topic, { params = {}, from = 'now', onJoin = () => {} } = {}) {
  let after = from
  const channel = socket.channel(topic, () => ({ ...params, after }))
  channel.onMessage = (event, payload, ref) => {
    if (ref && !event?.startsWith('phx_')) after = ref
    return payload
  }
  channel.join().receive('ok', (answer) => { // again after each rejoin
    after = answer.position
    onJoin(answer)
  })
  return channel
}

export function disconnect(socket) {
  return new Promise((resolve) => socket.disconnect(resolve))
}
