// The page's connection: a client of the package web/client, whose transport can be chosen, and which can be cut.

import { Duckwire, type Rung } from '../../client/src/index'
import { root } from './api'
import { token } from './token'

/** transports are the choices: automatic, or one of the client's rungs. */
export const transports = { Auto: undefined, WebSocket: ['websocket'], 'SSE + POST': ['sse'], 'Long-poll': ['longpoll'] } as const

export type TransportName = keyof typeof transports

/** rungNames are the displayed names of the rungs. */
export const rungNames: Record<Rung, string> = { websocket: 'WebSocket', sse: 'SSE + POST', padded: 'padded SSE', longpoll: 'Long-poll' }

export type State = 'connecting' | 'connected' | 'cut'

export class Connection {
  readonly duckwire: Duckwire
  state: State = 'connecting'
  #cutUntil = 0

  constructor(private readonly changed: () => void) {
    this.duckwire = new Duckwire(root, {
      token,
      socket: {
        reconnectAfterMs: (tries: number) => Math.max(this.#cutUntil - Date.now(), [10, 50, 200, 500, 1000][tries - 1] ?? 2000),
        rejoinAfterMs: (tries: number) => [20, 200, 1000][tries - 1] ?? 2000,
      },
    })
    this.duckwire.socket.onOpen(() => this.#is('connected'))
    this.duckwire.socket.onClose(() => this.#is(this.#cutUntil > Date.now() ? 'cut' : 'connecting'))
    this.duckwire.connect()
  }

  #is(state: State): void {
    this.state = state
    this.changed()
  }

  /** via is the current transport. */
  get via(): string {
    return this.duckwire.transport ? rungNames[this.duckwire.transport] : ''
  }

  /** use chooses the transport. A connection over another one is ended, and the client reconnects. */
  use(name: TransportName): void {
    this.#cutUntil = 0
    this.duckwire.use(transports[name])
  }

  /** cut ends the connection without a close handshake, for some seconds. */
  cut(ms: number): void {
    this.#cutUntil = Date.now() + ms
    this.duckwire.cut()
    this.#is('cut')
  }

  close(): void {
    void this.duckwire.close()
  }
}
