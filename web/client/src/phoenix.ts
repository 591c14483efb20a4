// Structural types of what this package uses of the official client, so that Sockets of any version since 1.5, and of
// any copy of the package, can be used.

/** SocketLike is the official client's `Socket`. */
export interface SocketLike {
  connect(): void
  disconnect(callback?: () => void, code?: number, reason?: string): void
  isConnected(): boolean
  channel(topic: string, params?: object | (() => object)): ChannelLike
  onOpen(callback: () => void): unknown
  onClose(callback: (event: unknown) => void): unknown
  onError(callback: (error: unknown) => void): unknown
  onMessage(callback: (message: SocketMessage) => void): unknown
  push(message: SocketMessage): void
  makeRef(): string
}

/** SocketMessage is a message as the official client has it. */
export interface SocketMessage {
  topic: string
  event: string
  payload: unknown
  ref?: string | null
}

/** ChannelLike is the official client's `Channel`. */
export interface ChannelLike {
  readonly topic: string
  readonly state: string
  join(timeout?: number): PushLike
  leave(timeout?: number): PushLike
  push(event: string, payload: object, timeout?: number): PushLike
  on(event: string, callback: (payload: never, ref?: unknown) => void): number
  off(event: string, ref?: number): void
  onClose(callback: () => void): void
  onError(callback: (reason: unknown) => void): unknown
  onMessage(event: string, payload: unknown, ref: unknown, joinRef?: unknown): unknown
  trigger(event: string, payload: object): void
}

/** PushLike is the official client's `Push`. */
export interface PushLike {
  receive(status: string, callback: (response: unknown) => void): PushLike
}

/** TransportClass is the type of a Socket's option `transport`. */
export type TransportClass = new (url: string, protocols?: string | string[]) => Transport

/** Transport is one connection. The Socket sets the first properties. */
export interface Transport {
  onopen: (event?: unknown) => void
  onerror: (error?: unknown) => void
  onmessage: (event: { data: string | ArrayBuffer }) => void
  onclose: (event: Closed) => void
  binaryType?: string
  /** Timeout of a poll, in ms. */
  timeout?: number
  readonly readyState: number
  readonly bufferedAmount?: number
  readonly skipHeartbeat?: boolean
  send(frame: string | ArrayBuffer): void
  close(code?: number, reason?: string): void
}

/** Closed says how a connection ended. */
export interface Closed {
  code: number
  reason?: string
  wasClean?: boolean
}

/** The states of a connection, as in WebSocket. */
export const connecting = 0
export const open = 1
export const closed = 3
