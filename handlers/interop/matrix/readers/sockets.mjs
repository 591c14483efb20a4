// Clients of Phoenix's socket. follow(url, bearer, topic, on) joins a topic from its beginning, resumes at the last
// position after each cut, and returns what ends it; on(event, payload) is called for each event.

import '../../lib/xhr.mjs' // before the clients: the older ones look for it once, and poll with nothing else
import * as phoenix18 from 'phoenix'
import phoenix15 from 'phoenix-1.5'
import * as phoenix16 from 'phoenix-1.6'
import * as phoenix17 from 'phoenix-1.7'
import Channels from 'phoenix-channels'
import WebSocket from 'ws'
import { connect, disconnect, follow } from '../../lib/phoenix.mjs'

const versions = { 1.5: phoenix15, 1.6: phoenix16, 1.7: phoenix17, 1.8: phoenix18 }

/**
 * official opens a socket of the official client: params is a function, and the position is in a message's ref. A poll is
 * given up early: jsdom's XMLHttpRequest does not tell that an answer was cut.
 */
const official = (Client, transport) => (url, bearer, topic, on) => {
  const socket = connect(url, bearer, { Client, transport, longpollerTimeout: 3000 })
  const channel = follow(socket, topic, { from: '0' })
  for (const event of ['news', 'chunk', 'end']) channel.on(event, (payload) => on(event, payload))
  return () => disconnect(socket)
}

/**
 * channels opens a socket of phoenix-channels: params is an object that each rejoin sends as it is by then, and the
 * position is a callback's second argument. A join that is sent again before it was answered has no ref, and its answer
 * is not heard: so the wait for the answer is ended with the connection, and is shorter than that for the next try.
 */
function channels(url, bearer, topic, on) {
  const socket = new Channels.Socket(`${url.replace(/^http/, 'ws')}/socket`, { params: { token: bearer }, reconnectAfterMs: () => 1000 })
  socket.connect()
  const channel = socket.channel(topic, { after: '0' })
  channel.onError(() => channel.joinPush.cancelTimeout())
  for (const event of ['news', 'chunk', 'end']) {
    channel.on(event, (payload, position) => {
      channel.params.after = position
      on(event, payload)
    })
  }
  channel.join()
  return () => {
    channel.rejoinTimer.reset() // or it rejoins for ever
    socket.onClose = () => {}
    socket.reconnectTimer.reset()
    socket.disconnect()
  }
}

/**
 * LongPoll of 1.5 and 1.6 is left out: after an error it polls its old session on (closeAndRetry leaves it connecting),
 * beside the new one, and hands over the events of both.
 */
const polls = (version) => version >= '1.7'

export const sockets = [
  ...Object.entries(versions).map(([version, { Socket }]) => ({ name: `phoenix ${version}, WebSocket`, follow: official(Socket, WebSocket) })),
  ...Object.entries(versions).filter(([version]) => polls(version)).map(([version, { Socket, LongPoll }]) => ({
    name: `phoenix ${version}, LongPoll`,
    room: 10, // the answer to a poll comes whole or not at all
    readers: 4, // a cut costs up to the three seconds of the option above
    follow: official(Socket, LongPoll),
  })),
  { name: 'phoenix-channels', readers: 5, follow: channels },
]
