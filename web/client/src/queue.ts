import { backoff, sleep } from './backoff.js'
import { Channel, isBehind, type Joined } from './channel.js'
import { Emitter, report } from './emitter.js'
import { DuckwireError, heals } from './errors.js'
import type { SocketLike } from './phoenix.js'
import { Seen } from './seen.js'
import type { Store } from './store.js'

/** QueuedMessage is a message of the user's queue. */
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

/** Expired reports messages that expired on the server before they were acknowledged. */
export interface Expired {
  expired: number
  through: string
}

/** QueueOptions are options of a {@link Queue}. */
export interface QueueOptions {
  /** Called when messages expired. */
  onExpired?: (expired: Expired) => void
  /**
   * Called when the handler failed. The message is handled again after a while, and later messages wait. Return
   * `"skip"` to skip it.
   */
  onError?: (error: unknown, message: QueuedMessage) => 'skip' | undefined | void
}

/** Handler handles one message. The message is acknowledged when the promise resolves. */
export type Handler<T = unknown> = (message: QueuedMessage<T>) => void | Promise<void>

const longestFarewell = 10_000 // ms

/**
 * Queue passes a user's messages to the application one at a time, in order, and acknowledges each when it was handled.
 * The server delivers each message at least once. To handle it exactly once, the store remembers which messages were
 * handled, by sender, id and position. If several tabs share a store, only one of them handles each message, provided
 * that the browser has Web Locks.
 */
export class Queue {
  /** The channel `user:ID`, for its other events. */
  readonly channel: Channel
  /** The reply to the first join. It fails if the token does not allow it. */
  readonly joined: Promise<Joined>
  readonly #handler: Handler
  readonly #options: QueueOptions
  readonly #seen: Seen
  readonly #key: string
  readonly #abort = new AbortController()
  #waiting: QueuedMessage[] = []
  #handled: string | undefined // the position to acknowledge
  #acknowledged: string | undefined
  #acknowledging: Promise<void> | undefined
  #running: Promise<void> | undefined
  #closing: Promise<void> | undefined
  readonly #turns = new Emitter<[]>() // emits when the channel is joined, disconnected or closed

  /** @internal */
  constructor(socket: SocketLike, user: string, handler: Handler, options: QueueOptions, store: Store, prefix: string) {
    this.#handler = handler
    this.#options = options
    this.#key = `${prefix}:handled`
    this.#seen = new Seen(store, this.#key)
    this.channel = new Channel(socket, `user:${user}`)
    this.channel.on<QueuedMessage>('message', (message) => {
      if (this.#closing) return
      this.#waiting.push(message)
      this.#running ??= this.#run()
    })
    this.channel.on<Expired>('messages_expired', (expired) => {
      try {
        this.#options.onExpired?.(expired)
      } finally {
        this.#acknowledge(expired.through)
      }
    })
    this.channel.onJoin(() => {
      this.#turns.emit()
      void this.#flush()
    })
    this.channel.phoenix.onError(() => this.#turns.emit())
    this.channel.onEnd(() => this.#turns.emit())
    this.joined = this.channel.join()
    this.joined.catch(() => {}) // an application need not wait for it
  }

  /** Number of received messages that are not handled yet. */
  get size(): number {
    return this.#waiting.length
  }

  /**
   * close stops handling and leaves the channel. Before that it waits for the running handler and, while there is a
   * connection, until what was handled is acknowledged. It takes at most ten seconds, and never fails. Messages that
   * were not acknowledged are delivered again. A handler must not wait for close.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#abort.abort()
    this.#waiting = []
    const end = performance.now() + longestFarewell
    await atMost(longestFarewell, this.#settle())
    await atMost(end - performance.now(), this.channel.leave())
  }

  /** settle waits until what was handled is acknowledged, or the connection is lost. */
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

  /**
   * handle calls the handler, unless the message was handled before. It reports whether the message may be
   * acknowledged.
   */
  async #handle(message: QueuedMessage): Promise<boolean> {
    for (let tries = 1; !(await this.#seen.has(message)); tries++) {
      if (this.#abort.signal.aborted) return false
      try {
        await this.#handler(message)
      } catch (error) {
        if (!this.#skips(error, message)) {
          await sleep(backoff(tries, 1000, 60_000), this.#abort.signal)
          continue
        }
      }
      await this.#seen.add(message, this.#acknowledged)
      return true
    }
    return true
  }

  /** skips tells the application that its handler failed, and reports whether it skips the message. */
  #skips(error: unknown, message: QueuedMessage): boolean {
    const { onError } = this.#options
    try {
      if (onError) return onError(error, message) === 'skip'
      report(error)
    } catch (thrown) {
      report(thrown)
    }
    return false
  }

  /** acknowledge acknowledges up to a position. One that is behind what was handled already changes nothing. */
  #acknowledge(position: string): void {
    if (this.#handled === undefined || !isBehind(position, this.#handled)) this.#handled = position
    void this.#flush()
  }

  /** owes reports whether something handled is not acknowledged yet. */
  #owes(): boolean {
    return this.#handled !== undefined && this.#handled !== this.#acknowledged
  }

  #mayAcknowledge(): boolean {
    return this.#owes() && this.channel.state === 'joined'
  }

  /**
   * orTurn waits until a job has ended, or the channel is joined, disconnected or closed. It reports whether the job
   * has ended.
   */
  #orTurn(job: Promise<unknown>): Promise<boolean> {
    let off = (): unknown => undefined
    const turn = new Promise<boolean>((resolve) => {
      off = this.#turns.add(() => resolve(false))
    })
    return Promise.race([job.then(() => true), turn]).finally(() => off())
  }

  /** flush acknowledges everything handled so far in one request. It is called again after a reconnect. */
  async #flush(): Promise<void> {
    if (!this.#mayAcknowledge()) return
    this.#acknowledging ??= this.#acknowledgeAll()
    await this.#acknowledging
  }

  async #acknowledgeAll(): Promise<void> {
    do {
      const through = this.#handled as string
      try {
        // After a disconnect there is no reply: the next join acknowledges again.
        if (await this.#orTurn(this.channel.send('ack', { through }))) this.#acknowledged = through
      } catch (error) {
        if (heals(error)) await sleep(backoff(1, 1000))
        else {
          // if the queue began anew, waiting messages are delivered again with new positions
          this.#acknowledged = through
          if (!(error instanceof DuckwireError && error.code === 'invalid')) report(error)
        }
      }
    } while (this.#mayAcknowledge())
    this.#acknowledging = undefined
  }
}

/** atMost waits until a job has succeeded or failed, but at most for the given time. */
function atMost(ms: number, job: Promise<void>): Promise<void> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  job.then(end, end)
  return sleep(ms, ended.signal)
}

/** alone runs a job while no other tab runs one with the same name. */
async function alone<T>(name: string, job: () => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks
  if (!locks) return job()
  let begun: Promise<T> | undefined
  try {
    return await locks.request(name, () => (begun = job()))
  } catch {
    return begun ?? job() // the browser refuses locks, for example to a page in a sandbox
  }
}
