import { Emitter, report, type Unsubscribe } from './emitter.js'
import { heals, refusal, DuckwireError } from './errors.js'
import type { Outbox } from './outbox.js'
import type { ChannelLike, PushLike, SocketLike } from './phoenix.js'
import { patienceFor } from './transports/patience.js'

// How long to wait for replies, in ms. On a slow link they come behind the frame that is under way. A connection that is
// lost is noticed earlier, and not by these.
const joinPatience = 120_000
const replyPatience = 60_000 // and what the push itself needs

/** Joined is the server's reply to a join. Some kinds of channels add members. */
export interface Joined {
  /** Whether nothing was lost since the position in the join. */
  recovered: boolean
  /** The channel's current position. */
  position: string
  /** Why something was lost: `epoch`, `trimmed` or `ahead`. */
  reset?: string
  [member: string]: unknown
}

/** Meta has an event's metadata. */
export interface Meta {
  /** The position after the event; undefined for an ephemeral event, such as a cursor. */
  position: string | undefined
}

/** ChannelOptions configure joins. */
export interface ChannelOptions {
  /** Additional parameters of the join; a function is called at each join. */
  params?: object | (() => object)
  /**
   * Where to begin: a position, `"0"` for the beginning of the history, or `"now"`, the default. `""` omits the
   * parameter, for kinds of channels that do not use it.
   */
  after?: string
}

type Listener = (payload: unknown, meta: Meta) => void

/**
 * Channel is a channel that resumes: each join sends the position after the last event. It works with any Socket of the
 * official client, with any transport.
 */
export class Channel {
  /** The official client's channel, for its `Presence` and other features. */
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

  /** The position after the last event. As the option `after` it resumes there, also on another device. */
  get position(): string {
    return this.#position
  }

  /** The channel's state in the official client: `joined`, `joining`, `errored`, `leaving` or `closed`. */
  get state(): string {
    return this.phoenix.state
  }

  /** take receives each message before the official client passes it to its listeners. */
  #take(event: string | null, payload: unknown, ref: unknown): void {
    // The event is null if a push that was given up times out.
    if (event === null || event.startsWith('phx_') || event.startsWith('chan_reply_')) return
    const position = typeof ref === 'string' ? ref : undefined
    // A slow join is sent again. If the server answers both, the events after the first one arrive twice.
    if (position !== undefined && isBehind(position, this.#position)) return
    this.#listeners.get(event)?.emit(payload, { position })
    if (position !== undefined) this.#position = position
  }

  /** on calls a listener for each event with the name. */
  on<T = unknown>(event: string, listener: (payload: T, meta: Meta) => void): Unsubscribe {
    let listeners = this.#listeners.get(event)
    if (!listeners) this.#listeners.set(event, (listeners = new Emitter()))
    return listeners.add(listener as Listener)
  }

  /**
   * onJoin calls a listener after each join, also after reconnects. If `recovered` is false, events were lost: reload
   * what you show.
   */
  onJoin(listener: (answer: Joined) => void): Unsubscribe {
    return this.#joins.add(listener)
  }

  /** onEnd calls a listener when the channel was left, or closed by the server for good. */
  onEnd(listener: () => void): Unsubscribe {
    return this.#ends.add(listener)
  }

  /**
   * join joins the channel, and joins it again after reconnects. Without a connection it waits. If the server rejects
   * the join for good, it leaves the channel and fails with a {@link DuckwireError}.
   */
  join(): Promise<Joined> {
    this.#joining ??= new Promise((resolve, reject) => {
      this.phoenix
        .join(joinPatience)
        .receive('ok', (response) => {
          const answer = response as Joined
          if (typeof answer.position === 'string' && !(answer.recovered && isBehind(answer.position, this.#position))) this.#position = answer.position
          void this.#outbox?.joined(this.topic, (event, payload) => this.#sendNow(event, payload))
          this.#joins.emit(answer)
          resolve(answer)
        })
        .receive('error', (response) => {
          const error = refusal(`join of ${this.topic}`, response)
          if (heals(error)) return // the official client retries
          this.phoenix.leave()
          reject(error)
        })
    })
    return this.#joining
  }

  /**
   * push sends an event and returns the server's reply. Without a connection the event is stored until it can be sent,
   * also across reloads of the page. It takes effect once, since the server recognizes repetitions by its `id`. Without
   * an {@link Outbox} push is the same as {@link send}.
   */
  push(event: string, payload: object = {}): Promise<unknown> {
    if (!this.#outbox || payload instanceof ArrayBuffer) return this.send(event, payload)
    return this.#outbox.push(this.topic, event, payload)
  }

  /**
   * send sends an event, or bytes, at most once, like the official client. It fails if there is no reply within ten
   * seconds.
   */
  send(event: string, payload: object = {}): Promise<unknown> {
    return answered(`${event} on ${this.topic}`, this.phoenix.push(event, payload))
  }

  /**
   * sendNow sends for the outbox, or fails if there is no connection. Otherwise the official client would store the
   * push, and send it after the next join before those that the outbox repeats.
   */
  async #sendNow(event: string, payload: object): Promise<unknown> {
    const what = `${event} on ${this.topic}`
    if (!this.#socket.isConnected() || this.phoenix.state !== 'joined') throw new DuckwireError(`${what}: no connection`, 'unavailable')
    const size = JSON.stringify(payload).length
    this.#waiting += size
    try {
      return await answered(what, this.phoenix.push(event, payload, replyPatience + patienceFor(this.#waiting)))
    } finally {
      this.#waiting -= size
    }
  }
  #waiting = 0 // bytes that were sent for the outbox and have no reply

  /** leave leaves the channel for good. */
  leave(): Promise<void> {
    return answered(`leave of ${this.topic}`, this.phoenix.leave()).then(
      () => undefined,
      report, // the channel is left in any case, so the application need not handle this
    )
  }
}

/** isBehind reports whether a position is the same as or before another one, in the same epoch of the same log. */
function isBehind(position: string, other: string): boolean {
  const [a, b] = [position, other].map((text) => /^([^.,]+)\.(\d+)$/.exec(text))
  return !!a && !!b && a[1] === b[1] && Number(a[2]) <= Number(b[2])
}

/** answered waits for the reply to a push. */
function answered(what: string, push: PushLike): Promise<unknown> {
  return new Promise((resolve, reject) => {
    push
      .receive('ok', resolve)
      .receive('error', (response) => reject(refusal(what, response)))
      .receive('timeout', () => reject(new DuckwireError(`${what}: no reply`, 'timeout')))
  })
}
