import { backoff } from './backoff.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import { DuckwireError, heals } from './errors.js'
import { newID } from './names.js'
import { recall, remember, type Store } from './store.js'

/** OutboxOptions are the limits of an outbox. */
export interface OutboxOptions {
  /** The most pushes that may wait; 1,000 by default. */
  limit?: number
  /** After how many milliseconds a push that could not be sent is given up; a day by default. */
  maxAge?: number
}

/** Waiting is a push that has not been answered yet. */
export interface Waiting {
  /** Its idempotency id, which the payload holds, too. */
  id: string
  topic: string
  event: string
  payload: object
  /** When it was made, in ms. */
  at: number
}

/** Sender sends a push on a channel that is joined, and returns the server's reply. */
type Sender = (event: string, payload: object) => Promise<unknown>

interface Entry extends Waiting {
  key: string
  resolve: (reply: unknown) => void
  reject: (error: unknown) => void
}

/** Line is the pushes of one topic, in order. */
interface Line {
  entries: Entry[]
  send: Sender | undefined
  sent: Set<Entry>
  /** Changes when the channel is joined anew: answers to what was sent before say nothing any longer. */
  round: number
  tries: number
  timer: ReturnType<typeof setTimeout> | undefined
}

const window = 32 // pushes of one topic that are sent before the first is answered

/**
 * Outbox keeps pushes until the server has answered them, also over a reload of the page, and sends them in order as soon as their channel is
 * joined. A push whose answer was lost is sent again under the same id, by which the server knows it.
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

  /** How many pushes wait for their answers. */
  get size(): number {
    return this.#size
  }

  /** onChange calls a listener with each new size. */
  onChange(listener: (size: number) => void): Unsubscribe {
    return this.#changes.add(listener)
  }

  /** onDrop calls a listener with each push that was given up: refused by the server, or too old. Who has pushed it on this page is told by its promise, too. */
  onDrop(listener: (push: Waiting, error: unknown) => void): Unsubscribe {
    return this.#drops.add(listener)
  }

  /** load takes up what earlier visits have left. */
  async #load(): Promise<void> {
    const left: Entry[] = []
    try {
      for (const key of (await this.#store.keys(this.#prefix)).sort()) {
        const kept = (await recall(this.#store, key)) as Waiting | undefined
        if (kept) left.push({ ...kept, key, resolve: () => {}, reject: () => {} })
      }
    } catch {
      // A store that cannot be read has nothing for us.
    }
    for (const entry of left.reverse()) this.#line(entry.topic).entries.unshift(entry) // before what was pushed meanwhile
    if (left.length > 0) this.#resize(left.length)
  }

  /** push sends a push as soon as that is possible, and returns the server's reply. */
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

  /** @internal joined takes that a channel is joined: what waits for it is sent, and what has no answer is sent again. */
  async joined(topic: string, send: Sender): Promise<void> {
    const line = this.#line(topic)
    this.#restart(line)
    line.send = send
    await this.#loaded
    if (line.send === send) this.#pump(line)
  }

  /** @internal lost takes that a channel is not joined any longer. */
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

  /** pause waits, and then sends again from the first on that has no answer. */
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
