import { Socket } from 'phoenix'
import { backoff } from './backoff.js'
import { Channel, type ChannelOptions } from './channel.js'
import { Completion, type CompletionOptions, type CompletionRequest, type Home } from './complete.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import { Requester } from './http.js'
import { Ladder, rungs, type Rung } from './ladder.js'
import { Outbox, type OutboxOptions } from './outbox.js'
import type { SocketLike, TransportClass } from './phoenix.js'
import { Queue, type Handler, type QueueOptions } from './queue.js'
import { defaultStore, type Store } from './store.js'
import { Tokens, type TokenSource } from './token.js'
import { climber, padding, type Climber } from './transports/climber.js'
import { Way } from './transports/way.js'

/** DuckwireOptions are options of a {@link Duckwire}. */
export interface DuckwireOptions {
  /** The token, or what returns one. It is asked for at each connect, and when the server does not take the last one. */
  token?: TokenSource
  /** Whose token it is: needed for {@link Duckwire.queue}, and to keep apart what is stored where several people use one browser. */
  user?: string
  /** Where to keep small things between visits. By default localStorage, in a worker IndexedDB, elsewhere memory. */
  store?: Store
  /** The class of WebSockets, where there is no global one: in Node.js 20 that of the package `ws`. Without one there are none. */
  webSocket?: TransportClass
  /** The transports to use, the best one first; all by default. */
  transports?: readonly Rung[]
  /** A name of the network that we are on, if the application knows one: what is remembered of the way to the server is remembered for it. */
  network?: () => string
  /** For how long to wait for a transport's first sign of life, in ms; 4,000 for WebSocket, 3,000 for SSE by default. */
  patience?: Partial<Record<Rung, number>>
  /** After how many milliseconds to look first whether a better transport works again; 5,000 by default. */
  retryAfter?: number
  /** Limits of what is kept while there is no connection. */
  outbox?: OutboxOptions
  /** More options of the official client's Socket. */
  socket?: object
}

/** Duckwire is a client: one socket, which finds its way through proxies, and what is made of it. */
export class Duckwire {
  /** The official client's Socket. */
  readonly socket: SocketLike
  /** What waits to be sent, of all channels. */
  readonly outbox: Outbox
  readonly #ladder: Ladder
  readonly #climber: Climber
  readonly #home: Home
  readonly #store: Store
  readonly #user: string | undefined
  readonly #prefix: string
  readonly #rungs = new Emitter<[Rung]>()
  readonly #queues = new Set<Queue>()
  readonly #unlisten: Unsubscribe
  #rung: Rung | undefined

  /** url is the server's address, such as `https://duckwire.example.com`. */
  constructor(url: string, options: DuckwireOptions = {}) {
    const base = url.replace(/\/+$/, '')
    const tokens = new Tokens(options.token)
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
      onRung: (rung) => {
        this.#rung = rung
        this.#rungs.emit(rung)
      },
    })
    this.#climber = climb
    this.#home = { request: new Requester(base, tokens), ladder: this.#ladder, rungs: answers(chosen), way: this.#ways(options) }
    this.socket = new Socket(`${base.replace(/^http/, 'ws')}/socket`, {
      reconnectAfterMs: (tries: number) => backoff(tries, 100),
      rejoinAfterMs: (tries: number) => backoff(tries, 500, 10_000),
      heartbeatIntervalMs: 15_000,
      ...options.socket,
      transport: climb.transport,
    })
    this.#unlisten = this.#watch(climb)
  }

  /** watch has the socket change to a better rung when one is found. */
  #watch(climb: Climber): Unsubscribe {
    this.#ladder.lookWith(climb.look)
    return this.#ladder.onChange((rung) => {
      if (!this.#ladder.isBad(rung)) climb.choose()
    })
  }

  /** ways makes what is known of the ways by which completions come. */
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

  /** use changes the transports to use, the best one first: what is connected otherwise comes back on one of them, and goes on where it was. */
  use(transports: readonly Rung[] = rungs): void {
    this.#home.rungs = answers(transports)
    this.#climber.use(transports)
  }

  /** How the socket is connected, or was last; undefined before the first time. */
  get transport(): Rung | undefined {
    return this.#rung
  }

  /** onTransport calls a listener with the transport whenever the socket has connected. */
  onTransport(listener: (transport: Rung) => void): Unsubscribe {
    return this.#rungs.add(listener)
  }

  /** connect connects the socket. {@link channel} and {@link queue} do so by themselves. */
  connect(): void {
    this.socket.connect()
  }

  /** channel returns a channel, which is still to be joined. */
  channel(topic: string, options?: ChannelOptions): Channel {
    this.connect()
    return new Channel(this.socket, topic, options, this.outbox)
  }

  /** complete asks for a completion. It needs no socket. */
  complete(request: CompletionRequest, options?: CompletionOptions): Completion {
    return new Completion(this.#home, request, options)
  }

  /** stream reads a stream that exists: a completion that another page has asked for, an analysis, whatever has an id. */
  stream(id: string, options?: CompletionOptions): Completion {
    return new Completion(this.#home, id, options)
  }

  /** queue hands the user's messages to a handler, those that waited first. */
  queue<T = unknown>(handler: Handler<T>, options: QueueOptions = {}): Queue {
    if (this.#user === undefined) throw new TypeError('a queue needs the option "user" of Duckwire')
    this.connect()
    const queue = new Queue(this.socket, this.#user, handler as Handler, options, this.#store, `${this.#prefix}:queue`)
    this.#queues.add(queue)
    queue.channel.onEnd(() => this.#queues.delete(queue))
    return queue
  }

  /** cut breaks the connection as if the network had: the socket comes back by itself. It is for trying out what happens then. */
  cut(): void {
    this.#climber.cut()
  }

  /** close closes the queues, as {@link Queue.close} does, and then the connection. What waits in the outbox stays in the store. */
  async close(): Promise<void> {
    this.#unlisten()
    this.#ladder.close()
    await Promise.all([...this.#queues].map((queue) => queue.close()))
    await new Promise<void>((resolve) => this.socket.disconnect(resolve))
  }
}

/** answers are the ways by which completions come: by answers of their own, not over the socket. */
function answers(transports: readonly Rung[]): Rung[] {
  const ways = transports.filter((rung) => rung !== 'websocket')
  return ways.length > 0 ? ways : ['sse']
}
