import { Emitter, type Unsubscribe } from './emitter.js'
import { heals, refusal, DuckwireError } from './errors.js'
import type { Outbox } from './outbox.js'
import { framed, snapshot, type Pushed } from './payload.js'
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
  readonly #ends = new Emitter<[DuckwireError | undefined]>()
  #position: string
  #join: Deferred | undefined
  #asked = false
  #refusal: DuckwireError | undefined
  #disconnected = false

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
      this.#ends.emit(this.#refusal)
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

  /**
   * onEnd calls a listener when the channel was left, or closed by the server for good. If the server rejected a join,
   * also one after a reconnect, the listener gets the error.
   */
  onEnd(listener: (refusal?: DuckwireError) => void): Unsubscribe {
    return this.#ends.add(listener)
  }

  /**
   * join joins the channel, and joins it again after reconnects. Without a connection it waits. If the server rejects
   * the join for good, it leaves the channel and fails with a {@link DuckwireError}; the channel's waiting pushes fail,
   * too. It also fails if the server rejects the token for good ({@link Duckwire.onRefused}); another call connects
   * again.
   */
  join(): Promise<Joined> {
    this.#join ??= deferred()
    const { promise } = this.#join
    if (!this.#asked) this.#ask()
    if (this.#disconnected) this.#socket.connect()
    this.#disconnected = false
    return promise
  }

  /** ask sends the join. The official client calls these listeners after each join, also after reconnects. */
  #ask(): void {
    this.#asked = true
    this.phoenix
      .join(joinPatience)
      .receive('ok', (response) => {
        const answer = response as Joined
        const stays = answer.recovered && isBehind(answer.position, this.#position)
        if (typeof answer.position === 'string' && !stays) this.#position = answer.position
        void this.#outbox?.joined(this.topic, (event, payload) => this.#sendNow(event, payload))
        this.#joins.emit(answer)
        this.#join ??= deferred()
        this.#join.resolve(answer)
      })
      .receive('error', (response) => {
        const error = refusal(`join of ${this.topic}`, response)
        if (heals(error)) return // the official client retries
        this.#refusal = error
        this.#join?.reject(error)
        void this.#outbox?.refused(this.topic, error)
        this.phoenix.leave()
      })
  }

  /** @internal disconnected is called when the server rejected the client's token for good. */
  disconnected(error: DuckwireError): void {
    const join = this.#join
    if (this.#refusal) return
    this.#disconnected = true
    this.#join = undefined
    join?.reject(error) // does nothing if it was joined
  }

  /**
   * push sends an event and returns the server's reply. The payload is any JSON value, and arrives at others as it is
   * now; without one it is `{}`. Without a connection the event is stored until it can be sent, also across reloads of
   * the page. It takes effect once, since the server recognizes repetitions by an id. It fails with a TypeError if JSON
   * cannot hold the payload, and with a {@link DuckwireError} if the server rejects the event for good. Without an
   * {@link Outbox} push is the same as {@link send}.
   */
  push(event: string, ...pushed: Pushed): Promise<unknown> {
    const payload = pushed.length > 0 ? pushed[0] : {}
    if (!this.#outbox || payload instanceof ArrayBuffer) return this.send(event, payload, pushed[1])
    if (this.#refusal) return Promise.reject(this.#refusal)
    return this.#outbox.push(this.topic, event, payload, pushed[1])
  }

  /**
   * send sends an event, or bytes, at most once, like the official client. It fails if there is no reply within ten
   * seconds.
   */
  async send(event: string, ...pushed: Pushed): Promise<unknown> {
    const payload = pushed.length > 0 ? pushed[0] : {}
    const body = payload instanceof ArrayBuffer ? payload : framed(snapshot(event, payload).payload, pushed[1] ?? {})
    return answered(`${event} on ${this.topic}`, this.phoenix.push(event, body))
  }

  /**
   * sendNow sends for the outbox, or fails if there is no connection. Otherwise the official client would store the
   * push, and send it after the next join before those that the outbox repeats.
   */
  async #sendNow(event: string, payload: object): Promise<unknown> {
    const what = `${event} on ${this.topic}`
    const unavailable = new DuckwireError(`${what}: no connection`, 'unavailable')
    if (!this.#socket.isConnected() || this.phoenix.state !== 'joined') throw unavailable
    const size = JSON.stringify(payload).length
    this.#waiting += size
    try {
      return await answered(what, this.phoenix.push(event, payload, replyPatience + patienceFor(this.#waiting)))
    } catch (error) {
      if (!(error instanceof DuckwireError && error.code === 'unmatched topic')) throw error
      this.#joinAgain()
      throw unavailable
    } finally {
      this.#waiting -= size
    }
  }

  /** joinAgain is called when the server has ended the channel. Usually it has told the client so. */
  #joinAgain(): void {
    if (this.phoenix.state === 'joined') this.phoenix.trigger('phx_error', {})
  }
  #waiting = 0 // bytes that were sent for the outbox and have no reply

  /** leave leaves the channel for good. */
  leave(): Promise<void> {
    const left = (): void => undefined // in any case, also without a reply
    return answered(`leave of ${this.topic}`, this.phoenix.leave()).then(left, left)
  }
}

/** Deferred is a promise with its functions. */
interface Deferred {
  promise: Promise<Joined>
  resolve: (answer: Joined) => void
  reject: (error: unknown) => void
}

function deferred(): Deferred {
  let [resolve, reject]: [Deferred['resolve'], Deferred['reject']] = [() => {}, () => {}]
  const promise = new Promise<Joined>((...settle) => ([resolve, reject] = settle))
  return { promise, resolve, reject }
}

/**
 * isBehind reports whether a position is the same as another one, or before it in the same epoch of the same topic. Of two
 * at the same event of the topic, which tell apart streams that the client follows, neither is before the other.
 */
export function isBehind(position: string, other: string): boolean {
  const [a, b] = [position, other].map((text) => /^([^.,~]+)\.(\d+)(?:~.*)?$/.exec(text))
  return !!a && !!b && a[1] === b[1] && (position === other || Number(a[2]) < Number(b[2]))
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
