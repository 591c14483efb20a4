import { Presence } from 'phoenix'
import type { Channel } from './channel.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import { newID } from './names.js'

/** Person is a user who is present on a channel. */
export interface Person<M extends object = Record<string, unknown>> {
  user: string
  /** The metadata of each of the user's sessions, the newest last. */
  metas: M[]
}

/**
 * People tracks who is present on a channel, with the official client's `Presence`. Create it before the channel is
 * joined.
 */
export class People<M extends object = Record<string, unknown>> {
  readonly #presence: InstanceType<typeof Presence>
  readonly #changes = new Emitter<[Person<M>[]]>()

  constructor(channel: Channel) {
    this.#presence = new Presence(channel.phoenix)
    this.#presence.onSync(() => this.#changes.emit(this.list()))
  }

  /** list returns the present users, sorted by user. */
  list(): Person<M>[] {
    return this.#presence.list((user, { metas }) => ({ user, metas: metas as M[] })).sort((a, b) => (a.user < b.user ? -1 : 1))
  }

  /** onChange calls a listener with the present users whenever somebody joins, leaves or changes metadata. */
  onChange(listener: (people: Person<M>[]) => void): Unsubscribe {
    return this.#changes.add(listener)
  }
}

/** CursorOptions are options of {@link Cursors}. */
export interface CursorOptions {
  /** The event that is sent; `cursor` by default. On `code:*` it is `cursor_position`. */
  event?: string
  /** The event that is received from others; the same by default. On `code:*` it is `cursor_update`. */
  heard?: string
  /** Maximum number of events per second; 60 by default, which is also the maximum. */
  rate?: number
}

/**
 * Cursors sends and receives cursor positions. Only the newest position matters: one that could not be sent is replaced
 * by a newer one, and the server stores only each sender's last.
 */
export class Cursors<T extends object> {
  readonly #channel: Channel
  readonly #event: string
  readonly #every: number // ms
  readonly #client = newID()
  readonly #moves = new Emitter<[T & { client: string }]>()
  readonly #off: Unsubscribe[]
  #next: T | undefined
  #last = -Infinity
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(channel: Channel, { event = 'cursor', heard = event, rate = 60 }: CursorOptions = {}) {
    this.#channel = channel
    this.#event = event
    this.#every = 1000 / Math.min(rate, 60)
    this.#off = [
      channel.on<T & { client: string }>(heard, (payload) => {
        if (payload.client !== this.#client) this.#moves.emit(payload)
      }),
      channel.onJoin(() => this.#send()),
    ]
  }

  /** move sends this session's cursor, immediately or as soon as the rate permits. */
  move(to: T): void {
    this.#next = to
    this.#send()
  }

  /** onMove calls a listener with another session's cursor. `client` identifies that session. */
  onMove(listener: (cursor: T & { client: string }) => void): Unsubscribe {
    return this.#moves.add(listener)
  }

  #send(): void {
    if (this.#next === undefined || this.#timer !== undefined || this.#channel.state !== 'joined') return
    const wait = this.#last + this.#every - performance.now()
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.#send()
      }, wait)
      return
    }
    this.#last = performance.now()
    const payload = { ...this.#next, client: this.#client }
    this.#next = undefined
    this.#channel.send(this.#event, payload, { ephemeral: true }).catch(() => {}) // a later cursor replaces it
  }

  /** close stops sending and receiving. */
  close(): void {
    clearTimeout(this.#timer)
    this.#next = undefined
    for (const off of this.#off) off()
  }
}
