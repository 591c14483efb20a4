/**
 * The client of Duckwire: completions, channels and messages that outlive their connections, through any proxy. It is
 * built on the official `phoenix` package. Begin with {@link Duckwire}, or use single parts with your own Socket.
 *
 * @module
 */
export { Duckwire, type DuckwireOptions } from './duckwire.js'
export { Channel, type ChannelOptions, type Joined, type Meta } from './channel.js'
export {
  Completion,
  type CompletionOptions,
  type CompletionRequest,
  type Ending,
  type Progress,
  type StreamEvent,
  type StreamStatus,
} from './complete.js'
export type { Pushed, PushOptions } from './payload.js'
export { Outbox, type OutboxOptions, type Waiting } from './outbox.js'
export { Queue, type Expired, type Handler, type QueuedMessage, type QueueOptions } from './queue.js'
export { Cursors, People, type CursorOptions, type Person } from './presence.js'
export { databaseStore, memoryStore, webStore, type MaybePromise, type Store } from './store.js'
export { DuckwireError, StreamError } from './errors.js'
export { SSETransport } from './transports/sse.js'
export type { Rung } from './ladder.js'
export type { TokenSource } from './token.js'
export type { Unsubscribe } from './emitter.js'
export type { ChannelLike, Closed, PushLike, SocketLike, SocketMessage, Transport, TransportClass } from './phoenix.js'
