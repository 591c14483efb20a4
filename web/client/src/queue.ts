import { backoff, sleep } from './backoff.js'
import { Channel, type Joined } from './channel.js'
import { Emitter, report } from './emitter.js'
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
const longestFarewell = 10_000 // ms

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
  #acknowledging: Promise<void> | undefined
  #running: Promise<void> | undefined
  #closing: Promise<void> | undefined
  readonly #turns = new Emitter<[]>() // whenever the channel is joined, cut off, or over

  /** @internal */
  constructor(socket: SocketLike, user: string, handler: Handler, options: QueueOptions, store: Store, prefix: string) {
    this.#handler = handler
    this.#options = options
    this.#store = store
    this.#key = `${prefix}:handled`
    this.channel = new Channel(socket, `user:${user}`)
    this.channel.on<QueuedMessage>('message', (message) => {
      if (this.#closing) return
      this.#waiting.push(message)
      this.#running ??= this.#run()
    })
    this.channel.on<Expired>('messages_expired', (expired) => {
      this.#options.onExpired?.(expired)
      this.#acknowledge(expired.through)
    })
    this.channel.onJoin(() => {
      this.#turns.emit()
      void this.#flush()
    })
    this.channel.phoenix.onError(() => this.#turns.emit())
    this.channel.onEnd(() => this.#turns.emit())
    this.joined = this.channel.join()
  }

  /** How many messages have come, and wait for those before them. */
  get size(): number {
    return this.#waiting.length
  }

  /**
   * close ends the handling, and leaves the channel. Before that it waits for the handler that is at work, and, while there is a connection, until what
   * was handled is acknowledged: for ten seconds at most. It does not fail. What is not acknowledged comes again. A handler must not wait for it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#abort.abort()
    this.#waiting = []
    await atMost(longestFarewell, this.#settle())
    await this.channel.leave()
  }

  /** settle waits until what was handled is acknowledged, or cannot be, for want of a connection. */
  async #settle(): Promise<void> {
    await this.#running
    while (this.#owes()) {
      if (this.channel.state === 'joined') await this.#flush()
      else if (this.channel.state === 'joining') await this.#orTurn(new Promise(() => {}))
      else return
    }
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
    void this.#flush()
  }

  /** owes reports whether something was handled that is not acknowledged. */
  #owes(): boolean {
    return this.#handled !== undefined && this.#handled !== this.#acknowledged
  }

  #mayAcknowledge(): boolean {
    return this.#owes() && this.channel.state === 'joined'
  }

  /** orTurn waits until a job has ended, or the channel is joined, cut off, or over. It reports whether the job has. */
  #orTurn(job: Promise<unknown>): Promise<boolean> {
    let off = (): unknown => undefined
    const turn = new Promise<boolean>((resolve) => {
      off = this.#turns.add(() => resolve(false))
    })
    return Promise.race([job.then(() => true), turn]).finally(() => off())
  }

  /** flush acknowledges what has been handled: what comes together, together. After a cut it is called again. */
  async #flush(): Promise<void> {
    if (!this.#mayAcknowledge()) return
    this.#acknowledging ??= this.#acknowledgeAll()
    await this.#acknowledging
  }

  async #acknowledgeAll(): Promise<void> {
    do {
      const through = this.#handled as string
      try {
        // After a cut no answer comes: the next join acknowledges anew.
        if (await this.#orTurn(this.channel.send('ack', { through }))) this.#acknowledged = through
      } catch (error) {
        if (heals(error)) await sleep(backoff(1, 1000))
        else {
          this.#acknowledged = through // where the queue has begun anew, what waits comes again with other positions
          if (!(error instanceof DuckwireError && error.code === 'invalid')) report(error)
        }
      }
    } while (this.#mayAcknowledge())
    this.#acknowledging = undefined
  }
}

/** atMost waits until a job has ended, well or not, but no longer than so many ms. */
function atMost(ms: number, job: Promise<void>): Promise<void> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  job.then(end, end)
  return sleep(ms, ended.signal)
}

/** alone runs a job while no other tab runs one of the same name. */
function alone<T>(name: string, job: () => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks
  return locks ? locks.request(name, job) : job()
}
