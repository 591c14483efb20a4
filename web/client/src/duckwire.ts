import { Socket } from 'phoenix'
import { backoff } from './backoff.js'
import { Channel, type ChannelOptions } from './channel.js'
import { Completion, type CompletionOptions, type CompletionRequest, type Home } from './complete.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import type { DuckwireError } from './errors.js'
import { Requester } from './http.js'
import { Ladder, rungs, type Rung } from './ladder.js'
import { Outbox, type OutboxOptions } from './outbox.js'
import type { Closed, SocketLike, TransportClass } from './phoenix.js'
import { Queue, type Handler, type QueueOptions } from './queue.js'
import { renewTokens } from './renewal.js'
import { defaultStore, type Store } from './store.js'
import { Tokens, type TokenSource } from './token.js'
import { climber, padding, type Climber } from './transports/climber.js'
import { tooLargeCode } from './transports/posts.js'
import { Way } from './transports/way.js'

/** DuckwireOptions are options of a {@link Duckwire}. */
export interface DuckwireOptions {
  /**
   * The token, or a function that returns one. It is called for each connection, when the token expires soon, and when
   * the server rejected the last one.
   */
  token?: TokenSource
  /**
   * The token's user. It is needed for {@link Duckwire.queue}, and separates what is stored for several users of one
   * browser.
   */
  user?: string
  /** Where to store small texts between visits. By default localStorage, in a worker IndexedDB, elsewhere memory. */
  store?: Store
  /**
   * The WebSocket class, if there is no global one: in Node.js 20 that of the package `ws`. Without a class WebSockets
   * are not used.
   */
  webSocket?: TransportClass
  /** The transports to use, the best one first; all by default. */
  transports?: readonly Rung[]
  /**
   * Returns a name of the current network, if the application knows one. Which transports work is remembered per
   * network.
   */
  network?: () => string
  /** How long to wait for a transport's first response, in ms; by default 4,000 for WebSocket and 3,000 for SSE. */
  patience?: Partial<Record<Rung, number>>
  /** After how many milliseconds to check first whether a better transport works again; 5,000 by default. */
  retryAfter?: number
  /** Limits of the outbox. */
  outbox?: OutboxOptions
  /** Additional options of the official client's Socket. */
  socket?: object
}

/** Duckwire is a client. It has one socket, which finds a transport that works on the network. */
export class Duckwire {
  /** The official client's Socket. */
  readonly socket: SocketLike
  /** The waiting pushes of all channels. */
  readonly outbox: Outbox
  readonly #ladder: Ladder
  readonly #climber: Climber
  readonly #tokens: Tokens
  readonly #home: Home
  readonly #store: Store
  readonly #user: string | undefined
  readonly #prefix: string
  readonly #rungs = new Emitter<[Rung]>()
  readonly #refusals = new Emitter<[DuckwireError]>()
  readonly #channels = new Set<Channel>()
  readonly #queues = new Set<Queue>()
  readonly #unlisten: Unsubscribe
  #rung: Rung | undefined
  #refusal: DuckwireError | undefined

  /** url is the server's address, such as `https://duckwire.example.com`. */
  constructor(url: string, options: DuckwireOptions = {}) {
    const base = url.replace(/\/+$/, '')
    const tokens = new Tokens(options.token)
    this.#tokens = tokens
    this.#store = options.store ?? defaultStore()
    this.#user = options.user
    this.#prefix = `duckwire:${base}:${options.user ?? ''}`
    this.outbox = new Outbox(this.#store, `${this.#prefix}:outbox`, options.outbox)
    this.#ladder = new Ladder({
      store: this.#store,
      origin: base,
      ...(options.network && { network: options.network }),
      ...(options.retryAfter && { retryAfter: options.retryAfter }),
    })
    const chosen = options.transports ?? rungs
    const climb = climber({
      ladder: this.#ladder,
      tokens,
      rungs: chosen,
      webSocket: options.webSocket ?? (globalThis.WebSocket as unknown as TransportClass | undefined),
      ...(options.patience && { patience: options.patience }),
      heartbeat: (options.socket as { heartbeatIntervalMs?: number } | undefined)?.heartbeatIntervalMs,
      onRung: (rung) => {
        this.#rung = rung
        this.#refusal = undefined
        this.#rungs.emit(rung)
      },
      onRefused: (error) => this.#refused(error),
    })
    this.#climber = climb
    this.#home = { request: new Requester(base, tokens), ladder: this.#ladder, rungs: answers(chosen), way: this.#ways(options) }
    this.socket = new Socket(`${base.replace(/^http/, 'ws')}/socket`, {
      reconnectAfterMs: (tries: number) => backoff(tries, 100),
      rejoinAfterMs: (tries: number) => backoff(tries, 500, 10_000),
      ...options.socket,
      transport: climb.transport,
    })
    this.#unlisten = this.#watch(climb)
    renewTokens(this.socket, tokens, (error) => this.#refused(error))
    this.socket.onClose((event) => {
      if ((event as Closed | undefined)?.code === tooLargeCode) this.outbox.tooLarge()
    })
  }

  /** refused ends the attempts to connect. */
  #refused(error: DuckwireError): void {
    this.#refusal = error
    this.socket.disconnect()
    for (const channel of this.#channels) channel.disconnected(error)
    this.#refusals.emit(error)
  }

  /** watch makes the socket change to a better rung when one is found to work. */
  #watch(climb: Climber): Unsubscribe {
    this.#ladder.lookWith(climb.look)
    return this.#ladder.onChange((rung) => {
      if (!this.#ladder.isBad(rung)) climb.choose()
    })
  }

  /** ways returns a function that creates a Way for completions on a rung. */
  #ways(options: DuckwireOptions): Home['way'] {
    const good = new Set<Rung>()
    return (rung) =>
      new Way({
        pad: rung === 'padded' ? padding : 0,
        good: good.has(rung),
        ...(options.patience?.[rung] && { hello: options.patience[rung] }),
        onGood: () => {
          good.add(rung)
          this.#ladder.good(rung)
        },
        onBad: (why) => {
          good.delete(rung)
          this.#ladder.fail(rung, why)
        },
      })
  }

  /**
   * use sets the transports to use, the best one first. A connection over another transport is ended; the socket
   * reconnects over one of these and resumes.
   */
  use(transports: readonly Rung[] = rungs): void {
    this.#home.rungs = answers(transports)
    this.#climber.use(transports)
  }

  /** The current or last transport of the socket; undefined before the first connection. */
  get transport(): Rung | undefined {
    return this.#rung
  }

  /** onTransport calls a listener with the transport whenever the socket has connected. */
  onTransport(listener: (transport: Rung) => void): Unsubscribe {
    return this.#rungs.add(listener)
  }

  /** Why the client has ended its attempts to connect, or undefined. */
  get refusal(): DuckwireError | undefined {
    return this.#refusal
  }

  /**
   * onRefused calls a listener when the server rejected the token for good, or the application's token function said
   * that there is none. Joins that wait have failed then, and there are no further attempts. Waiting pushes stay in the
   * outbox. When there is a good token, call {@link connect}.
   */
  onRefused(listener: (error: DuckwireError) => void): Unsubscribe {
    return this.#refusals.add(listener)
  }

  /**
   * connect connects the socket. {@link channel} and {@link queue} do so automatically. After a rejected token it begins
   * again, and the channels are joined when there is a connection.
   */
  connect(): void {
    if (this.#refusal) this.#tokens.accepted()
    this.#refusal = undefined
    this.socket.connect()
  }

  /** channel returns a channel, which the caller must join. */
  channel(topic: string, options?: ChannelOptions): Channel {
    this.connect()
    return this.#watched(new Channel(this.socket, topic, options, this.outbox))
  }

  /** watched adds a channel to those that are told when the token is rejected. */
  #watched(channel: Channel): Channel {
    this.#channels.add(channel)
    channel.onEnd(() => this.#channels.delete(channel))
    return channel
  }

  /** complete requests a completion. It needs no socket. */
  complete(request: CompletionRequest, options?: CompletionOptions): Completion {
    return new Completion(this.#home, request, options)
  }

  /** stream reads an existing stream: a completion that another page requested, an analysis, or any other stream. */
  stream(id: string, options?: CompletionOptions): Completion {
    return new Completion(this.#home, id, options)
  }

  /** queue passes the user's messages to a handler, beginning with the stored ones. */
  queue<T = unknown>(handler: Handler<T>, options: QueueOptions = {}): Queue {
    if (this.#user === undefined) throw new TypeError('a queue needs the option "user" of Duckwire')
    this.connect()
    const queue = new Queue(this.socket, this.#user, handler as Handler, options, this.#store, `${this.#prefix}:queue`)
    this.#queues.add(queue)
    this.#watched(queue.channel).onEnd(() => this.#queues.delete(queue))
    return queue
  }

  /** cut ends the connection as a network failure would; the socket then reconnects. It is for testing. */
  cut(): void {
    this.#climber.cut()
  }

  /**
   * close closes the queues, as {@link Queue.close} does, and then the connection. Waiting pushes stay in the store.
   */
  async close(): Promise<void> {
    this.#unlisten()
    this.#ladder.close()
    await Promise.all([...this.#queues].map((queue) => queue.close()))
    await new Promise<void>((resolve) => this.socket.disconnect(resolve))
  }
}

/** answers returns the rungs for completions, which are separate responses and do not use the socket. */
function answers(transports: readonly Rung[]): Rung[] {
  const ways = transports.filter((rung) => rung !== 'websocket')
  return ways.length > 0 ? ways : ['sse']
}
