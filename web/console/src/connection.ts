// One socket of the official Phoenix client, whose transport can be changed and which can be cut, with channels that go on where they were.

import { type Channel, LongPoll, Socket } from 'phoenix'
import { SSETransport } from '../../../handlers/interop/lib/ssetransport.mjs'
import { token } from './token'

export const transports = { WebSocket, 'SSE + POST': SSETransport, 'Long-poll': LongPoll } as const

export type TransportName = keyof typeof transports

export type State = 'connecting' | 'connected' | 'cut'

/** Topic is a channel that outlives its sockets. */
export interface Topic {
  readonly name: string
  push(event: string, payload: unknown): ReturnType<Channel['push']> | undefined
  readonly joined: boolean
  leave(): void
}

/** Handlers are what a topic calls. */
export interface Handlers {
  params?: Record<string, unknown>
  /** after is where to begin, at first. */
  after: string
  /** onChannel is called for each new channel, before it joins. */
  onChannel?(channel: Channel): void
  onJoin?(response: { recovered?: boolean; position?: string }, again: boolean): void
  onRefused?(reason: { reason?: string }): void
  onEvent?(event: string, payload: any, position: string | null): void
  onClose?(): void
}

export class Connection {
  transport: TransportName
  state: State = 'connecting'
  #socket!: Socket
  #topics = new Set<Member>()
  #cutUntil = 0

  constructor(
    transport: TransportName,
    private readonly changed: () => void,
  ) {
    this.transport = transport
    this.#open()
  }

  #open(): void {
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/socket`
    const socket = new Socket(url, {
      transport: transports[this.transport],
      params: () => ({ token: token() }),
      sessionStorage: nowhere(), // a transport that was chosen here is not remembered
      reconnectAfterMs: (tries: number) => Math.max(this.#cutUntil - Date.now(), [10, 50, 200, 500, 1000][tries - 1] ?? 2000),
      rejoinAfterMs: (tries: number) => [20, 200, 1000][tries - 1] ?? 2000,
    })
    this.#socket = socket
    socket.onOpen(() => this.#is('connected'))
    socket.onClose(() => {
      if (this.#socket === socket) this.#is(this.#cutUntil > Date.now() ? 'cut' : 'connecting')
    })
    for (const topic of this.#topics) topic.join(socket)
    socket.connect()
  }

  #is(state: State): void {
    this.state = state
    this.changed()
  }

  /** join enters a topic, and stays there over cuts and changes of transport. */
  join(name: string, handlers: Handlers): Topic {
    const member = new Member(name, handlers, () => this.#topics.delete(member))
    this.#topics.add(member)
    member.join(this.#socket)
    return member
  }

  /** use changes the transport. */
  use(transport: TransportName): void {
    const old = this.#socket
    this.transport = transport
    this.#cutUntil = 0
    this.#is('connecting')
    this.#open()
    old.disconnect()
  }

  /** cut breaks the connection without a word, for some seconds. */
  cut(ms: number): void {
    this.#cutUntil = Date.now() + ms
    this.#socket.conn?.close(4000, 'cut')
    this.#is('cut')
  }

  close(): void {
    this.#topics.clear()
    this.#socket.disconnect()
  }
}

class Member implements Topic {
  #channel?: Channel
  #after: string
  #joins = 0

  constructor(
    readonly name: string,
    private readonly handlers: Handlers,
    private readonly forget: () => void,
  ) {
    this.#after = handlers.after
  }

  join(socket: Socket): void {
    const h = this.handlers
    const channel = socket.channel(this.name, () => ({ ...h.params, after: this.#after }))
    this.#channel = channel
    channel.onMessage = (event, payload, ref) => {
      if (channel !== this.#channel) return payload
      const ours = !/^(phx_|chan_reply_|presence_)/.test(event)
      if (ours && ref) this.#after = ref
      if (ours) h.onEvent?.(event, payload, ref)
      return payload
    }
    channel.onClose(() => {
      if (channel === this.#channel) h.onClose?.()
    })
    h.onChannel?.(channel)
    channel
      .join()
      .receive('ok', (response) => {
        if (response.position && this.#joins === 0) this.#after = response.position
        h.onJoin?.(response, this.#joins++ > 0)
      })
      .receive('error', (reason) => h.onRefused?.(reason))
  }

  get joined(): boolean {
    return this.#channel?.state === 'joined'
  }

  push(event: string, payload: unknown): ReturnType<Channel['push']> | undefined {
    return this.#channel?.push(event, payload)
  }

  leave(): void {
    this.forget()
    const channel = this.#channel
    this.#channel = undefined
    channel?.leave()
  }
}

/** nowhere is a storage that keeps nothing. */
function nowhere() {
  return { getItem: () => null, setItem() {}, removeItem() {} }
}
