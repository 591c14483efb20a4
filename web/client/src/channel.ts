import { Emitter, report, type Unsubscribe } from './emitter.js'
import { heals, refusal, DuckwireError } from './errors.js'
import type { Outbox } from './outbox.js'
import type { ChannelLike, PushLike, SocketLike } from './phoenix.js'

/** Joined is the server's answer to a join. Channels of some kinds add members of their own. */
export interface Joined {
  /** Whether nothing was lost since the position that was handed back. */
  recovered: boolean
  /** Where the channel is now. */
  position: string
  /** Why something was lost: `epoch`, `trimmed` or `ahead`. */
  reset?: string
  [member: string]: unknown
}

/** Meta is what is known of an event beside its payload. */
export interface Meta {
  /** The place behind the event; undefined for one that leaves no trace, such as a cursor. */
  position: string | undefined
}

/** ChannelOptions are how to join. */
export interface ChannelOptions {
  /** What else the join says; a function is called at each join. */
  params?: object | (() => object)
  /** Where to begin: a position, `"0"` for the beginning of what is kept, or `"now"`, the default. Another may suit a channel of its own kind: `""` says nothing. */
  after?: string
}

type Listener = (payload: unknown, meta: Meta) => void

/**
 * Channel is a channel that goes on where it was: each join hands back the position behind the last event. It works with any Socket of the official
 * client, one with another transport included.
 */
export class Channel {
  /** The official client's channel: for its `Presence`, and for what is not here. */
  readonly phoenix: ChannelLike
  readonly #socket: SocketLike
  readonly topic: string
  readonly #outbox: Outbox | undefined
  readonly #listeners = new Map<string, Emitter<[unknown, Meta]>>()
  readonly #joins = new Emitter<[Joined]>()
  readonly #ends = new Emitter<[]>()
  #position: string
  #joining: Promise<Joined> | undefined

  constructor(socket: SocketLike, topic: string, options: ChannelOptions = {}, outbox?: Outbox) {
    this.topic = topic
    this.#outbox = outbox
    this.#position = options.after ?? 'now'
    const params = (): object => {
      const more = typeof options.params === 'function' ? (options.params as () => object)() : options.params
      return { ...more, ...(this.#position && { after: this.#position }) }
    }
    this.#socket = socket
    this.phoenix = socket.channel(topic, params)
    this.phoenix.onMessage = (event, payload, ref) => {
      this.#take(event, payload, ref)
      return payload
    }
    this.phoenix.onError(() => this.#outbox?.lost(topic))
    this.phoenix.onClose(() => {
      this.#outbox?.lost(topic)
      this.#ends.emit()
    })
  }

  /** The position behind the last event. Handed back as the option `after`, also on another device, it is where to go on. */
  get position(): string {
    return this.#position
  }

  /** The official client's word for how the channel is: `joined`, `joining`, `errored`, `leaving` or `closed`. */
  get state(): string {
    return this.phoenix.state
  }

  /** take sees each message before the official client hands it to its own listeners. */
  #take(event: string | null, payload: unknown, ref: unknown): void {
    // It is null where a push that was given up meets its time limit.
    if (event === null || event.startsWith('phx_') || event.startsWith('chan_reply_')) return
    const position = typeof ref === 'string' ? ref : undefined
    // A join that takes long is sent again, and the server may have answered both: what the first has brought comes twice.
    if (position !== undefined && isBehind(position, this.#position)) return
    this.#listeners.get(event)?.emit(payload, { position })
    if (position !== undefined) this.#position = position
  }

  /** on calls a listener with each event of a name. */
  on<T = unknown>(event: string, listener: (payload: T, meta: Meta) => void): Unsubscribe {
    let listeners = this.#listeners.get(event)
    if (!listeners) this.#listeners.set(event, (listeners = new Emitter()))
    return listeners.add(listener as Listener)
  }

  /** onJoin calls a listener after each join, the first and those after cuts. Where `recovered` is false something was lost: load anew what you show. */
  onJoin(listener: (answer: Joined) => void): Unsubscribe {
    return this.#joins.add(listener)
  }

  /** onEnd calls a listener when the channel is over: left, or ended by the server for good. */
  onEnd(listener: () => void): Unsubscribe {
    return this.#ends.add(listener)
  }

  /**
   * join joins the channel, and keeps it joined. It waits for as long as there is no connection; it fails, and leaves the channel, where the server
   * refuses it for good ({@link DuckwireError}).
   */
  join(): Promise<Joined> {
    this.#joining ??= new Promise((resolve, reject) => {
      this.phoenix
        .join()
        .receive('ok', (response) => {
          const answer = response as Joined
          if (typeof answer.position === 'string' && !(answer.recovered && isBehind(answer.position, this.#position))) this.#position = answer.position
          void this.#outbox?.joined(this.topic, (event, payload) => this.#sendNow(event, payload))
          this.#joins.emit(answer)
          resolve(answer)
        })
        .receive('error', (response) => {
          const error = refusal(`join of ${this.topic}`, response)
          if (heals(error)) return // the official client tries again
          this.phoenix.leave()
          reject(error)
        })
    })
    return this.#joining
  }

  /**
   * push sends an event, and returns the server's reply. It is kept while there is no connection, also over a reload of the page, and takes effect once:
   * it gets an `id` by which the server knows it again. Without an {@link Outbox} it is {@link send}.
   */
  push(event: string, payload: object = {}): Promise<unknown> {
    if (!this.#outbox || payload instanceof ArrayBuffer) return this.send(event, payload)
    return this.#outbox.push(this.topic, event, payload)
  }

  /** send sends an event, or bytes, once and at most once, as the official client does. It fails when no reply came in ten seconds. */
  send(event: string, payload: object = {}): Promise<unknown> {
    return answered(`${event} on ${this.topic}`, this.phoenix.push(event, payload))
  }

  /**
   * sendNow sends for the outbox, or fails. Between the end of a connection and the news of it the official client would keep the push, and send it at
   * the next join before those that the outbox sends again.
   */
  #sendNow(event: string, payload: object): Promise<unknown> {
    if (this.#socket.isConnected() && this.phoenix.state === 'joined') return this.send(event, payload)
    return Promise.reject(new DuckwireError(`${event} on ${this.topic}: no connection`, 'unavailable'))
  }

  /** leave leaves the channel for good. */
  leave(): Promise<void> {
    return answered(`leave of ${this.topic}`, this.phoenix.leave()).then(
      () => undefined,
      report, // nothing that the application could do: the channel is left at once
    )
  }
}

/** isBehind reports whether a position is another one, or one before it, of the same life of one log. */
function isBehind(position: string, other: string): boolean {
  const [a, b] = [position, other].map((text) => /^([^.,]+)\.(\d+)$/.exec(text))
  return !!a && !!b && a[1] === b[1] && Number(a[2]) <= Number(b[2])
}

/** answered returns the reply to a push. */
function answered(what: string, push: PushLike): Promise<unknown> {
  return new Promise((resolve, reject) => {
    push
      .receive('ok', resolve)
      .receive('error', (response) => reject(refusal(what, response)))
      .receive('timeout', () => reject(new DuckwireError(`${what}: no reply`, 'timeout')))
  })
}
