import { backoff } from './backoff.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import { DuckwireError, heals } from './errors.js'
import { ids } from './names.js'
import { framed, givenID, snapshot, type Pushed, type PushOptions } from './payload.js'
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
  /** Its idempotency id. */
  id: string
  topic: string
  event: string
  payload: unknown
  options?: PushOptions
  /** When it was pushed, in ms. */
  at: number
}

/** Sender sends a push on a joined channel and returns the server's reply. payload is that of the frame. */
type Sender = (event: string, payload: object) => Promise<unknown>

interface Entry extends Waiting {
  key: string
  /** Its size in bytes. */
  bytes: number
  /** When to send it again, by performance.now. */
  due: number
  /** How often it failed by errors that concern it alone. */
  failures: number
  resolve: (reply: unknown) => void
  reject: (error: unknown) => void
}

/** Line has the pushes of one topic, in order. */
interface Line {
  entries: Entry[]
  send: Sender | undefined
  sent: Set<Entry>
  /** What had no reply when the connection was lost. */
  adrift: Set<Entry>
  /** Increases with each join: failures of pushes that were sent before are ignored. */
  round: number
  /** When to go on after a pause, by performance.now. */
  due: number
  tries: number
  timer: ReturnType<typeof setTimeout> | undefined
}

const window = 32 // maximum number of a topic's pushes in flight
const windowBytes = 256 << 10 // a larger push is sent alone
const mostFailures = 5 // of one push, by errors inside the server

/**
 * Outbox stores pushes until the server has replied, also across reloads of the page, and sends them in order as soon
 * as their channel is joined. A push whose reply was lost is sent again with the same id, by which the server
 * recognizes it. What may succeed later is sent again after a while; what the server rejects for good is dropped, and
 * does not delay the pushes behind it.
 */
export class Outbox {
  readonly #store: Store
  readonly #prefix: string
  readonly #limit: number
  readonly #maxAge: number
  readonly #newID = ids()
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
        const kept = await recall(this.#store, key)
        if (isWaiting(kept)) left.push(entryOf(kept, key))
        else if (kept !== undefined) void remember(this.#store, key, undefined)
      }
    } catch {
      // Treat a store that cannot be read as empty.
    }
    // before pushes that were added meanwhile
    for (const entry of left.reverse()) this.#line(entry.topic).entries.unshift(entry)
    if (left.length > 0) this.#resize(left.length)
  }

  /**
   * push sends a push as soon as possible and returns the server's reply. It fails at once if JSON cannot hold the
   * payload.
   */
  push(topic: string, event: string, ...[payload, options]: Pushed): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#size >= this.#limit) {
        throw new DuckwireError(`pushes that wait to be sent: the limit is ${this.#limit}`, 'outbox_full')
      }
      const taken = snapshot(event, payload)
      const at = Date.now()
      const id = options?.id ?? givenID(taken.payload) ?? this.#newID()
      const key = this.#prefix + at.toString(36).padStart(9, '0') + (this.#order++).toString(36).padStart(6, '0') + id
      const waiting: Waiting = { id, topic, event, payload: taken.payload, ...(options && { options }), at }
      void remember(this.#store, key, waiting)
      const line = this.#line(topic)
      line.entries.push({ ...entryOf(waiting, key, taken.bytes), resolve, reject })
      this.#resize(1)
      this.#pump(line)
    })
  }

  /** @internal joined is called when a channel was joined: it sends all pushes that have no reply. */
  async joined(topic: string, send: Sender): Promise<void> {
    const line = this.#line(topic)
    this.#restart(line)
    line.adrift.clear()
    line.send = send
    await this.#loaded
    if (line.send === send) this.#pump(line)
  }

  /** @internal lost is called when a channel is not joined any more. */
  lost(topic: string): void {
    const line = this.#line(topic)
    line.send = undefined
    if (line.sent.size > 0) line.adrift = new Set(line.sent)
    this.#restart(line)
  }

  /** @internal refused is called when the server rejected the join of a topic for good. */
  async refused(topic: string, error: unknown): Promise<void> {
    await this.#loaded
    const line = this.#line(topic)
    for (const entry of [...line.entries]) this.#drop(line, entry, error)
  }

  /**
   * @internal tooLarge is called when a connection was closed because of a message that was too large to be read. That
   * was the largest push without a reply.
   */
  tooLarge(): void {
    const lines = [...this.#lines.values()]
    const adrift = lines.flatMap((line) => [...line.adrift].map((entry) => ({ line, entry })))
    const [worst] = adrift.sort((a, b) => b.entry.bytes - a.entry.bytes)
    for (const line of lines) line.adrift.clear()
    if (!worst) return
    const { event, topic, bytes } = worst.entry
    const error = new DuckwireError(`${event} on ${topic}: ${bytes} bytes are too large for this server`, 'too_large')
    this.#drop(worst.line, worst.entry, error)
  }

  /** restart forgets what was sent, so that it is sent again. */
  #restart(line: Line): void {
    clearTimeout(line.timer)
    line.timer = undefined
    line.due = 0
    line.round++
    line.sent.clear()
  }

  #line(topic: string): Line {
    let line = this.#lines.get(topic)
    if (!line) {
      const [sent, adrift] = [new Set<Entry>(), new Set<Entry>()]
      line = { entries: [], send: undefined, sent, adrift, round: 0, due: 0, tries: 0, timer: undefined }
      this.#lines.set(topic, line)
    }
    return line
  }

  /** pump sends what may be sent now, and sets a timer for the rest. */
  #pump(line: Line): void {
    clearTimeout(line.timer)
    line.timer = undefined
    if (!line.send) return
    const now = performance.now()
    let next = line.due > now ? line.due : Infinity
    let [flying, bytes] = [0, 0]
    for (const entry of line.due > now ? [] : [...line.entries]) {
      if (Date.now() - entry.at > this.#maxAge) {
        const what = `${entry.event} on ${entry.topic} could not be sent for ${this.#maxAge} ms`
        this.#drop(line, entry, new DuckwireError(what, 'expired'))
        continue
      }
      if (entry.due > now && !line.sent.has(entry)) {
        next = Math.min(next, entry.due)
        continue
      }
      bytes += entry.bytes
      if (flying === window || (flying > 0 && bytes > windowBytes)) break
      flying++
      if (line.sent.has(entry)) continue
      line.sent.add(entry)
      void this.#send(line, entry, line.send, line.round)
    }
    if (next < Infinity) line.timer = setTimeout(() => this.#pump(line), Math.ceil(next - now))
  }

  async #send(line: Line, entry: Entry, send: Sender, round: number): Promise<void> {
    try {
      const reply = await send(entry.event, framed(entry.payload, { ...entry.options, id: entry.id }))
      this.#remove(line, entry)
      entry.resolve(reply)
      line.tries = 0
    } catch (error) {
      if (concernsOne(error)) entry.failures++
      if (isFinal(error, entry.failures)) this.#drop(line, entry, error)
      else if (line.round === round) this.#postpone(line, entry, error)
    }
    if (line.round === round) this.#pump(line)
  }

  /** postpone delays one push, or the whole line, beginning with the first push without a reply. */
  #postpone(line: Line, entry: Entry, error: unknown): void {
    const asked = error instanceof DuckwireError ? error.retryAfter : undefined
    if (concernsOne(error)) {
      line.sent.delete(entry)
      entry.due = performance.now() + (asked ?? backoff(entry.failures))
      return
    }
    this.#restart(line)
    line.due = performance.now() + (asked ?? backoff(++line.tries))
    this.#pump(line)
  }

  #drop(line: Line, entry: Entry, error: unknown): void {
    if (!this.#remove(line, entry)) return
    entry.reject(error)
    const { id, topic, event, payload, options, at } = entry
    this.#drops.emit({ id, topic, event, payload, ...(options && { options }), at }, error)
  }

  /** remove reports whether the entry was still waiting. */
  #remove(line: Line, entry: Entry): boolean {
    const at = line.entries.indexOf(entry)
    if (at < 0) return false
    line.entries.splice(at, 1)
    line.sent.delete(entry)
    line.adrift.delete(entry)
    void remember(this.#store, entry.key, undefined)
    this.#resize(-1)
    return true
  }

  #resize(by: number): void {
    this.#size += by
    this.#changes.emit(this.#size)
  }
}

/** concernsOne reports whether an error says nothing about other pushes: a queue is full, or a handler failed. */
function concernsOne(error: unknown): boolean {
  return error instanceof DuckwireError && (error.code === 'queue_full' || error.code === 'internal')
}

/** isFinal reports whether a push that has failed so often is not sent again. */
function isFinal(error: unknown, failures: number): boolean {
  if (error instanceof DuckwireError && error.code === 'internal') return failures >= mostFailures
  return !heals(error)
}

function entryOf(waiting: Waiting, key: string, bytes = JSON.stringify(waiting.payload).length): Entry {
  return { ...waiting, key, bytes, due: 0, failures: 0, resolve: () => {}, reject: () => {} }
}

/** isWaiting reports whether a stored value is a push, and not damaged. */
function isWaiting(value: unknown): value is Waiting {
  const { id, topic, event, payload, at } = (value ?? {}) as Partial<Waiting>
  const named = [id, topic, event].every((name) => typeof name === 'string')
  return named && payload !== undefined && typeof at === 'number'
}
