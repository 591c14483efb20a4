import { backoff, sleep } from './backoff.js'
import { Emitter, type Unsubscribe } from './emitter.js'
import { DuckwireError, heals, StreamError } from './errors.js'
import { problem, type Requester } from './http.js'
import type { Ladder, Rung } from './ladder.js'
import { newID } from './names.js'
import { eventStream, NoHello, Silence, Status } from './transports/eventstream.js'
import type { Block } from './transports/parser.js'
import { Turned } from './transports/turns.js'
import type { Way } from './transports/way.js'

/**
 * CompletionRequest is a request of OpenAI's API: with `messages` a chat, with `prompt` (and `suffix`) a text
 * completion. `duckwire` has this server's extensions.
 */
export interface CompletionRequest {
  messages?: object[]
  prompt?: string
  suffix?: string
  model?: string
  duckwire?: {
    /** Makes the request idempotent: the same id is the same stream. By default it is generated. */
    id?: string
    topic?: string
    /**
     * What happens when nobody watches. The client's default is `{ cancel_after: 60 }`, so that a network failure does
     * not end the stream.
     */
    keep?: { cancel_after: number } | 'finish'
    slot?: string
    supersede?: 'stop' | 'finish'
  }
  [member: string]: unknown
}

/** StreamStatus is a stream's status. */
export type StreamStatus = 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'superseded' | 'interrupted'

/** Progress is the progress of reading a stream. */
export interface Progress {
  /** Number of bytes of text received, in UTF-8.
 */
  bytes: number
  position: string
  status: StreamStatus
}

/** StreamEvent is a structured entry of a stream, such as an issue or a tool call. */
export interface StreamEvent {
  event: string
  data: unknown
  position: string
}

/** Ending says how a stream ended. */
export interface Ending {
  status: StreamStatus
  finish_reason: string | null
  usage: unknown
  error: { code: string; message: string } | null
}

/** CompletionOptions are options of a completion, or of a stream. */
export interface CompletionOptions {
  /** Aborting it also cancels the stream on the server. To stop reading without cancelling, end the iteration. */
  signal?: AbortSignal
  /** The position at which to resume. */
  after?: string
  /** Number of bytes of text before `after`, from which `bytes` is counted. */
  bytes?: number
}

/** @internal What a Completion needs of its client. */
export interface Home {
  request: Requester
  ladder: Ladder
  rungs: readonly Rung[]
  /** way creates a Way that is not shared. */
  way: (rung: Rung) => Way
}

const mostTries = 5 // of a request that the server asks to retry later

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Completion is a stream on the server; iterating it yields its text in pieces. After a disconnect it resumes at the
 * next byte, over any transport that works on the network. The iteration ends with the stream: normally after `done`
 * and {@link cancel}, otherwise with a {@link StreamError}. Ending the iteration stops reading; `keep` then decides
 * what happens to the stream.
 */
export class Completion implements AsyncIterable<string> {
  readonly #home: Home
  readonly #ways = new Map<Rung, Way>()
  readonly #request: CompletionRequest | undefined
  readonly #signal: AbortSignal | undefined
  readonly #abort = new AbortController() // stops reading
  readonly #changes = new Emitter<[Progress]>()
  readonly #events = new Emitter<[StreamEvent]>()
  #id: string | undefined
  #started: Promise<string> | undefined
  #iterated = false
  #cancelled = false
  #bytes: number
  #position: string
  #status: StreamStatus = 'queued'
  #ending: Ending | undefined
  #heard = false

  /** @internal */
  constructor(home: Home, what: CompletionRequest | string, options: CompletionOptions = {}) {
    this.#home = home
    this.#signal = options.signal
    this.#bytes = options.bytes ?? 0
    this.#position = options.after ?? ''
    if (typeof what === 'string') this.#id = what
    else {
      const given = what.duckwire ?? {}
      this.#request = { ...what, stream: true, duckwire: { keep: { cancel_after: 60 }, ...given, id: given.id ?? newID() } }
    }
  }

  /** The stream's id, once the server has answered. With it any permitted user can read the stream, on any device. */
  get id(): string | undefined {
    return this.#id
  }

  /** Number of bytes of text received, in UTF-8. */
  get bytes(): number {
    return this.#bytes
  }

  /** The position after what was received. */
  get position(): string {
    return this.#position
  }

  get status(): StreamStatus {
    return this.#status
  }

  /** How the stream ended, or undefined. */
  get ending(): Ending | undefined {
    return this.#ending
  }

  /** onProgress calls a listener whenever something was received. */
  onProgress(listener: (progress: Progress) => void): Unsubscribe {
    return this.#changes.add(listener)
  }

  /** onEvent calls a listener with each structured entry, in order with the pieces of text. */
  onEvent(listener: (event: StreamEvent) => void): Unsubscribe {
    return this.#events.add(listener)
  }

  /** cancel cancels the stream on the server and returns its final status. It also ends the iteration. */
  async cancel(): Promise<StreamStatus> {
    this.#cancelled = true
    if (!this.#started && !this.#id) {
      this.#abort.abort()
      return (this.#status = 'cancelled')
    }
    try {
      const id = await this.#start()
      for (let tries = 1; ; tries++) {
        try {
          const { status } = await this.#home.request.json<{ status: StreamStatus }>('DELETE', `/v1/streams/${encodeURIComponent(id)}`)
          return (this.#status = status)
        } catch (error) {
          if (tries === mostTries || !mayHeal(error)) throw error
          await sleep(backoff(tries, 100))
        }
      }
    } finally {
      this.#abort.abort()
    }
  }

  /** text reads to the end and returns the whole text. */
  async text(): Promise<string> {
    let text = ''
    for await (const piece of this) text += piece
    return text
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    if (this.#iterated) throw new TypeError('a completion is iterated once; duckwire.stream(id) reads it again')
    this.#iterated = true
    const aborted = (): void => void this.cancel().catch(() => {}) // the caller receives the signal's reason
    this.#signal?.throwIfAborted()
    this.#signal?.addEventListener('abort', aborted)
    try {
      yield* this.#readAll()
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error
    } finally {
      this.#signal?.removeEventListener('abort', aborted)
      this.#abort.abort()
    }
    this.#signal?.throwIfAborted()
    this.#settle()
  }

  /** settle throws a StreamError if the stream ended other than done or cancelled by this client. */
  #settle(): void {
    if (this.#cancelled || !this.#ending || this.#ending.status === 'done') return
    const { status, error } = this.#ending
    throw new StreamError(error?.message ?? `the stream ended as ${status}`, error?.code ?? status, status)
  }

  /** readAll reads the stream over as many responses as needed. */
  async *#readAll(): AsyncGenerator<string, void, undefined> {
    if (this.#over()) return // cancelled before the request
    await this.#start()
    for (let failures = 0; !this.#over(); ) {
      await this.#home.ladder.load()
      const rung = this.#home.ladder.best(this.#home.rungs)
      this.#heard = false
      let wait = 0
      try {
        wait = yield* rung === 'longpoll' ? this.#poll() : this.#follow(rung)
      } catch (error) {
        if (this.#over()) return
        await this.#judge(rung, error)
        wait = -1
      }
      if (this.#over()) return
      failures = wait >= 0 || this.#hasHeard() ? 0 : failures + 1
      await sleep(failures > 0 ? backoff(failures, 250) : Math.max(wait, 0), this.#abort.signal)
    }
  }

  /** over reports whether reading has ended. */
  #over(): boolean {
    return this.#ending !== undefined || this.#abort.signal.aborted
  }

  /** hasHeard reports whether the last response contained anything. */
  #hasHeard(): boolean {
    return this.#heard
  }

  /** start sends the request, unless the stream exists, and returns the stream's id. */
  #start(): Promise<string> {
    this.#started ??= this.#id === undefined ? this.#ask() : Promise.resolve(this.#id)
    return this.#started
  }

  async #ask(): Promise<string> {
    const door = this.#request?.messages ? '/v1/chat/completions' : '/v1/completions'
    for (let tries = 1; ; tries++) {
      try {
        // The response is short, so it works on any network. A repeated request is the same stream, by its id.
        const { id } = await this.#home.request.json<{ id: string }>('POST', door, this.#request, { prefer: 'respond-async' })
        this.#id = id
        return id
      } catch (error) {
        if (!mayHeal(error) || this.#abort.signal.aborted || (error instanceof DuckwireError && tries === mostTries)) throw error
        await sleep((error instanceof DuckwireError && error.retryAfter) || backoff(tries, 250), this.#abort.signal)
      }
    }
  }

  get #path(): string {
    return `/v1/streams/${encodeURIComponent(this.#id ?? '')}`
  }

  /** follow reads one event stream, and returns how long to wait before the next; -1 if it was cut. */
  async *#follow(rung: Rung): AsyncGenerator<string, number, undefined> {
    const way = this.#ways.get(rung) ?? this.#home.way(rung)
    this.#ways.set(rung, way)
    const { query, patience } = way.ask()
    if (this.#position) query['after'] = this.#position
    const request = (signal: AbortSignal): Promise<Response> =>
      this.#home.request.fetch('GET', `${this.#path}?${new URLSearchParams(query).toString()}`, { signal, headers: { accept: 'text/event-stream' } })
    try {
      for await (const heard of eventStream(this.#home.request.origin, request, patience, this.#abort.signal)) {
        if (typeof heard === 'number') {
          this.#heard = true
          way.sign(heard)
          if (this.#home.ladder.best(this.#home.rungs) !== rung) return 0 // the rest is read over a better rung
          continue
        }
        if (heard.event === 'hello') way.sign((JSON.parse(heard.data) as { now: number }).now)
        if (heard.event === 'bye') return byeWait(heard)
        yield* this.#take(heard)
        if (this.#ending) return 0
      }
    } catch (error) {
      if (error instanceof Status && error.response.status === 204) return yield* this.#conclude()
      if (error instanceof Silence) way.silent()
      else if (error instanceof Turned) return 0
      else if (!(error instanceof NoHello || error instanceof Status)) way.cut()
      throw error
    }
    way.cut()
    return -1
  }

  /** take processes one block. */
  *#take(block: Block): Generator<string, void, undefined> {
    const data = JSON.parse(block.data) as Record<string, unknown>
    switch (block.event) {
      case 'hello':
        this.#status = data['status'] as StreamStatus
        break
      case 'reset':
        this.#position = data['from'] as string
        return
      case 'chunk':
        yield* this.#text(data['text'] as string, data['at'] as number)
        break
      case 'end':
        this.#ending = data as unknown as Ending
        this.#status = this.#ending.status
        break
      case 'message': // an event whose name is one of the protocol's own, so it is inside the data
        this.#events.emit({ event: data['event'] as string, data: data['data'], position: block.id })
        break
      default:
        this.#events.emit({ event: block.event, data, position: block.id })
    }
    this.#move(block.id)
  }

  #move(position: string): void {
    if (position) {
      this.#position = position
      this.#heard = true
    }
    this.#changes.emit({ bytes: this.#bytes, position: this.#position, status: this.#status })
  }

  /** text yields the new part of a piece that begins at byte at of the text. */
  *#text(text: string, at: number): Generator<string, void, undefined> {
    const known = this.#bytes - at
    if (known < 0) throw new StreamError(`${-known} bytes of the text are missing`, 'gap', this.#status)
    const bytes = encoder.encode(text)
    if (bytes.length <= known) return
    this.#bytes = at + bytes.length
    yield known === 0 ? text : decoder.decode(bytes.subarray(known))
  }

  /** poll reads what is new with a long-poll, and returns how long to wait before the next. */
  async *#poll(): AsyncGenerator<string, number, undefined> {
    const query = new URLSearchParams({ wait: '20', ...(this.#position && { after: this.#position }) })
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(40_000)])
    const view = await this.#home.request.json<View>('GET', `${this.#path}?${query.toString()}`, undefined, {}, signal)
    yield* this.#show(view)
    return 0
  }

  /** conclude reads the ending of a stream whose entries were all read. */
  async *#conclude(): AsyncGenerator<string, number, undefined> {
    const view = await this.#home.request.json<View>('GET', this.#path, undefined, {}, this.#abort.signal)
    yield* this.#show(view)
    return 0
  }

  /** show yields the new text in a stream's JSON, and emits the structured entries, in order. */
  *#show(view: View): Generator<string, void, undefined> {
    this.#status = view.status
    const bytes = encoder.encode(view.text)
    let at = view.at
    const upTo = (place: number): string => decoder.decode(bytes.subarray(at - view.at, place - view.at))
    for (const { event, data, position, at: place } of view.events ?? []) {
      yield* this.#text(upTo(place), at)
      at = place
      this.#events.emit({ event, data, position })
    }
    yield* this.#text(upTo(view.at + bytes.length), at)
    if (ended(view.status)) this.#ending = { status: view.status, finish_reason: view.finish_reason, usage: view.usage, error: view.error }
    this.#move(view.position)
  }

  /** judge decides what a failed response means for the rung. It throws permanent errors. */
  async #judge(rung: Rung, error: unknown): Promise<void> {
    if (error instanceof StreamError) throw error
    if (error instanceof NoHello && rung !== 'longpoll') return this.#suspect(rung)
    if (error instanceof Status && error.refused) throw problem(error.response, error.text)
    if (error instanceof DuckwireError && !mayHeal(error)) throw error
  }

  /** suspect checks with a short request whether the server is reachable: if it is, the rung is bad. */
  async #suspect(rung: Rung): Promise<void> {
    await this.#home.request.json('GET', `${this.#path}?${new URLSearchParams({ after: this.#position || '0' }).toString()}`, undefined, {}, AbortSignal.timeout(10_000)).then(
      () => this.#home.ladder.fail(rung, 'no answer begins in time'),
      () => {}, // the server or the network is down
    )
  }
}

/** View is a stream as JSON. */
interface View extends Ending {
  text: string
  at: number
  position: string
  events?: { event: string; position: string; at: number; data: unknown }[]
}

const ended = (status: StreamStatus): boolean => status !== 'queued' && status !== 'running'

/** mayHeal reports whether a request may succeed if it is repeated. */
function mayHeal(error: unknown): boolean {
  return heals(error) || (error instanceof DuckwireError && error.retryAfter !== undefined)
}

/**
 * byeWait returns how long to stay away after a `bye`. After a drain that is at most five seconds: the server's own time is for EventSources, which
 * end at the first failed request and must not come back before a restart is over.
 */
function byeWait({ data, retry = 1000 }: { data: string; retry: number | undefined }): number {
  const { reason } = JSON.parse(data) as { reason: string }
  return reason === 'drain' ? Math.min(retry, 200 + 4800 * Math.random()) : retry
}
