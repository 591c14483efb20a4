import { backoff, sleep } from './backoff.js'
import { Channel, type Joined } from './channel.js'
import { report } from './emitter.js'
import { DuckwireError, heals } from './errors.js'
import type { SocketLike } from './phoenix.js'
import { recall, remember, type Store } from './store.js'

/** QueuedMessage is a message that waited for its user. */
export interface QueuedMessage<T = unknown> {
  id: string
  position: string
  topic: string
  event: string
  payload: T
  sender: string
  queued_at: string
  expires_at: string
}

/** Expired says that messages went unread for so long that the server gave them up. */
export interface Expired {
  expired: number
  through: string
}

/** QueueOptions are options of a {@link Queue}. */
export interface QueueOptions {
  /** Told of messages that expired. */
  onExpired?: (expired: Expired) => void
  /**
   * Told of a handler that failed. The message is handed over again after a while, and those behind it wait; return `"skip"` to give it up.
   */
  onError?: (error: unknown, message: QueuedMessage) => 'skip' | undefined | void
}

/** Handler handles one message. The message is acknowledged when the promise resolves. */
export type Handler<T = unknown> = (message: QueuedMessage<T>) => void | Promise<void>

const remembered = 1000 // ids

/**
 * Queue hands a user's messages to the application one after the other, in order, and acknowledges each when it has been handled. The server gives each
 * message at least once; its id makes it exactly once: the last 1,000 are remembered in the store. Of several tabs with one store, one handles each
 * message, where the browser has Web Locks.
 */
export class Queue {
  /** The channel `user:ID`, for its other events. */
  readonly channel: Channel
  /** The answer to the first join. It fails where the token does not allow it. */
  readonly joined: Promise<Joined>
  readonly #handler: Handler
  readonly #options: QueueOptions
  readonly #store: Store
  readonly #key: string
  readonly #abort = new AbortController()
  #waiting: QueuedMessage[] = []
  #handled: string | undefined // the position to acknowledge
  #acknowledged: string | undefined
  #acknowledging = false
  #running: Promise<void> | undefined

  /** @internal */
  constructor(socket: SocketLike, user: string, handler: Handler, options: QueueOptions, store: Store, prefix: string) {
    this.#handler = handler
    this.#options = options
    this.#store = store
    this.#key = `${prefix}:handled`
    this.channel = new Channel(socket, `user:${user}`)
    this.channel.on<QueuedMessage>('message', (message) => {
      this.#waiting.push(message)
      this.#running ??= this.#run()
    })
    this.channel.on<Expired>('messages_expired', (expired) => {
      this.#options.onExpired?.(expired)
      this.#acknowledge(expired.through)
    })
    this.channel.onJoin(() => void this.#flush())
    this.joined = this.channel.join()
  }

  /** How many messages have come, and wait for those before them. */
  get size(): number {
    return this.#waiting.length
  }

  /** close ends the handling, and leaves the channel. What is not acknowledged comes again. */
  async close(): Promise<void> {
    this.#abort.abort()
    this.#waiting = []
    await this.#running
    await this.channel.leave()
  }

  async #run(): Promise<void> {
    for (let message; (message = this.#waiting[0]) && !this.#abort.signal.aborted; ) {
      if (!(await alone(this.#key, () => this.#handle(message)))) break
      this.#waiting.shift()
      this.#acknowledge(message.position)
    }
    this.#running = undefined
  }

  /** handle has the application handle a message, unless it has done so before. It reports whether the message may be acknowledged. */
  async #handle(message: QueuedMessage): Promise<boolean> {
    for (let tries = 1; !(await this.#ids()).includes(message.id); tries++) {
      if (this.#abort.signal.aborted) return false
      try {
        await this.#handler(message)
      } catch (error) {
        if (!this.#options.onError) report(error)
        if (this.#options.onError?.(error, message) !== 'skip') {
          await sleep(backoff(tries, 1000, 60_000), this.#abort.signal)
          continue
        }
      }
      await remember(this.#store, this.#key, [...(await this.#ids()), message.id].slice(-remembered))
      return true
    }
    return true
  }

  async #ids(): Promise<string[]> {
    const ids = await recall(this.#store, this.#key)
    return Array.isArray(ids) ? (ids as string[]) : []
  }

  #acknowledge(position: string): void {
    this.#handled = position
    if (!this.#acknowledging) void this.#flush()
  }

  /** flush acknowledges what has been handled: what comes together, together. After a cut it is called again. */
  async #flush(): Promise<void> {
    if (this.#acknowledging) return
    this.#acknowledging = true
    while (this.#handled !== undefined && this.#handled !== this.#acknowledged && this.channel.state === 'joined') {
      const through = this.#handled
      try {
        await this.channel.send('ack', { through })
        this.#acknowledged = through
      } catch (error) {
        if (heals(error)) await sleep(backoff(1, 1000))
        else {
          this.#acknowledged = through // where the queue has begun anew, what waits comes again with other positions
          if (!(error instanceof DuckwireError && error.code === 'invalid')) report(error)
        }
      }
    }
    this.#acknowledging = false
  }
}

/** alone runs a job while no other tab runs one of the same name. */
function alone<T>(name: string, job: () => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks
  return locks ? locks.request(name, job) : job()
}
