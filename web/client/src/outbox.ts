import { backoff } from './backoff.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import { DuckwireError, heals } from './errors.js'
import { newID } from './names.js'
import { recall, remember, type Store } from './store.js'

/** OutboxOptions are the limits of an outbox. */
export interface OutboxOptions {
  /** Maximum number of waiting pushes; 1,000 by default. */
  limit?: number
  /** After how many milliseconds a push that could not be sent is dropped; a day by default. */
  maxAge?: number
}

/** Waiting is a push without a reply yet. */
export interface Waiting {
  /** Its idempotency id, which is also in the payload. */
  id: string
  topic: string
  event: string
  payload: object
  /** When it was pushed, in ms. */
  at: number
}

/** Sender sends a push on a joined channel and returns the server's reply. */
type Sender = (event: string, payload: object) => Promise<unknown>

interface Entry extends Waiting {
  key: string
  resolve: (reply: unknown) => void
  reject: (error: unknown) => void
}

/** Line has the pushes of one topic, in order. */
interface Line {
  entries: Entry[]
  send: Sender | undefined
  sent: Set<Entry>
  /** Increases with each join: failures of pushes that were sent before are ignored. */
  round: number
  tries: number
  timer: ReturnType<typeof setTimeout> | undefined
}

const window = 32 // maximum number of a topic's pushes in flight

/**
 * Outbox stores pushes until the server has replied, also across reloads of the page, and sends them in order as soon
 * as their channel is joined. A push whose reply was lost is sent again with the same id, by which the server
 * recognizes it.
 */
export class Outbox {
  readonly #store: Store
  readonly #prefix: string
  readonly #limit: number
  readonly #maxAge: number
  readonly #lines = new Map<string, Line>()
  readonly #changes = new Emitter<[number]>()
  readonly #drops = new Emitter<[Waiting, unknown]>()
  readonly #loaded: Promise<void>
  #size = 0
  #order = 0

  /** @internal */
  constructor(store: Store, prefix: string, options: OutboxOptions = {}) {
    this.#store = store
    this.#prefix = `${prefix}:`
    this.#limit = options.limit ?? 1000
    this.#maxAge = options.maxAge ?? 24 * 3600_000
    this.#loaded = this.#load()
  }

  /** Number of pushes without a reply. */
  get size(): number {
    return this.#size
  }

  /** onChange calls a listener with the new size when it changes. */
  onChange(listener: (size: number) => void): Unsubscribe {
    return this.#changes.add(listener)
  }

  /**
   * onDrop calls a listener with each push that was dropped: rejected by the server, or too old. If it was pushed on
   * this page, its promise is also rejected.
   */
  onDrop(listener: (push: Waiting, error: unknown) => void): Unsubscribe {
    return this.#drops.add(listener)
  }

  /** load loads the pushes of previous visits. */
  async #load(): Promise<void> {
    const left: Entry[] = []
    try {
      for (const key of (await this.#store.keys(this.#prefix)).sort()) {
        const kept = (await recall(this.#store, key)) as Waiting | undefined
        if (kept) left.push({ ...kept, key, resolve: () => {}, reject: () => {} })
      }
    } catch {
      // Treat a store that cannot be read as empty.
    }
    // before pushes that were added meanwhile
    for (const entry of left.reverse()) this.#line(entry.topic).entries.unshift(entry)
    if (left.length > 0) this.#resize(left.length)
  }

  /** push sends a push as soon as possible and returns the server's reply. */
  push(topic: string, event: string, payload: object): Promise<unknown> {
    if (this.#size >= this.#limit) {
      return Promise.reject(new DuckwireError(`pushes that wait to be sent: the limit is ${this.#limit}`, 'outbox_full'))
    }
    return new Promise((resolve, reject) => {
      const id = 'id' in payload && typeof payload.id === 'string' ? payload.id : newID()
      const at = Date.now()
      const key = this.#prefix + at.toString(36).padStart(9, '0') + (this.#order++).toString(36).padStart(6, '0') + id
      const waiting: Waiting = { id, topic, event, payload: { ...payload, id }, at }
      void remember(this.#store, key, waiting)
      const line = this.#line(topic)
      line.entries.push({ ...waiting, key, resolve, reject })
      this.#resize(1)
      this.#pump(line)
    })
  }

  /** @internal joined is called when a channel was joined: it sends all pushes that have no reply. */
  async joined(topic: string, send: Sender): Promise<void> {
    const line = this.#line(topic)
    this.#restart(line)
    line.send = send
    await this.#loaded
    if (line.send === send) this.#pump(line)
  }

  /** @internal lost is called when a channel is not joined any more. */
  lost(topic: string): void {
    const line = this.#line(topic)
    line.send = undefined
    this.#restart(line)
  }

  #restart(line: Line): void {
    clearTimeout(line.timer)
    line.timer = undefined
    line.round++
    line.sent.clear()
  }

  #line(topic: string): Line {
    let line = this.#lines.get(topic)
    if (!line) {
      line = { entries: [], send: undefined, sent: new Set(), round: 0, tries: 0, timer: undefined }
      this.#lines.set(topic, line)
    }
    return line
  }

  #pump(line: Line): void {
    if (!line.send || line.timer !== undefined) return
    for (const entry of line.entries.slice(0, window)) {
      if (line.sent.has(entry)) continue
      if (Date.now() - entry.at > this.#maxAge) {
        this.#drop(line, entry, new DuckwireError(`${entry.event} on ${entry.topic} could not be sent for ${this.#maxAge} ms`, 'expired'))
        continue
      }
      line.sent.add(entry)
      void this.#send(line, entry, line.send, line.round)
    }
  }

  async #send(line: Line, entry: Entry, send: Sender, round: number): Promise<void> {
    try {
      const reply = await send(entry.event, entry.payload)
      this.#remove(line, entry)
      entry.resolve(reply)
      line.tries = 0
    } catch (error) {
      if (!heals(error)) this.#drop(line, entry, error)
      else if (line.round === round) this.#pause(line, error)
    }
    if (line.round === round) this.#pump(line)
  }

  /** pause waits, and then sends again, beginning with the first push without a reply. */
  #pause(line: Line, error: unknown): void {
    const asked = error instanceof DuckwireError ? error.retryAfter : undefined
    this.#restart(line)
    line.timer = setTimeout(() => {
      line.timer = undefined
      this.#pump(line)
    }, asked ?? backoff(++line.tries))
  }

  #drop(line: Line, entry: Entry, error: unknown): void {
    this.#remove(line, entry)
    entry.reject(error)
    const { id, topic, event, payload, at } = entry
    this.#drops.emit({ id, topic, event, payload, at }, error)
  }

  #remove(line: Line, entry: Entry): void {
    const at = line.entries.indexOf(entry)
    if (at < 0) return
    line.entries.splice(at, 1)
    line.sent.delete(entry)
    void remember(this.#store, entry.key, undefined)
    this.#resize(-1)
  }

  #resize(by: number): void {
    this.#size += by
    this.#changes.emit(this.#size)
  }
}
