import { Emitter, type Unsubscribe } from './emitter.js'
import { recall, remember, type Store } from './store.js'

/** Rung is a way to the server, the best one first: `websocket`, `sse`, `padded` (SSE that begins with padding), `longpoll`. */
export type Rung = (typeof rungs)[number]

export const rungs = ['websocket', 'sse', 'padded', 'longpoll'] as const

const memory = 24 * 3600_000 // for how long a rung is known to be bad, in ms

/** LadderOptions are where a ladder keeps what it knows. */
export interface LadderOptions {
  store: Store
  /** What the way is to: the server's origin. */
  origin: string
  /** What the way begins at: a name of the network, if there is one. */
  network?: () => string
  /** After how many milliseconds to look first whether a bad rung has become a good one. Each later look takes four times as long, up to an hour. */
  retryAfter?: number
}

/**
 * Ladder knows which ways to the server are bad: on which nothing comes through, or not as it is sent. It is remembered for a day, for each
 * network and server. A rung is only bad if a lower one is better: where nothing works at all, the server is down or we are.
 */
export class Ladder {
  readonly #options: LadderOptions
  readonly #listeners = new Emitter<[Rung, string]>()
  readonly #bad = new Map<Rung, number>() // until when
  #network: string | undefined
  #looks = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #look: ((rung: Rung) => Promise<boolean>) | undefined
  #closed = false

  constructor(options: LadderOptions) {
    this.#options = options
  }

  /** load reads what is known of the network that we are on. */
  async load(): Promise<void> {
    const network = this.#options.network?.() ?? networkType()
    if (network === this.#network) return
    this.#network = network
    const kept = await recall(this.#options.store, this.#key())
    if (network !== this.#network) return // it has changed again
    this.#bad.clear()
    if (typeof kept === 'object' && kept !== null) {
      for (const [rung, until] of Object.entries(kept)) {
        if (isRung(rung) && typeof until === 'number' && until > Date.now()) this.#bad.set(rung, Math.min(until, Date.now() + memory))
      }
    }
    this.#looks = 0
    this.#schedule()
  }

  #key(): string {
    return `duckwire:ways:${this.#options.origin}:${this.#network ?? ''}`
  }

  /** isBad reports whether a rung is known to be bad. */
  isBad(rung: Rung): boolean {
    return (this.#bad.get(rung) ?? 0) > Date.now()
  }

  /** best returns the highest of some rungs that is not bad, else the lowest. */
  best(among: readonly Rung[]): Rung {
    const lowest = among.at(-1)
    if (lowest === undefined) throw new TypeError('there must be a transport to choose')
    return among.find((rung) => !this.isBad(rung)) ?? lowest
  }

  /** fail takes that a rung is bad, and why. */
  fail(rung: Rung, why: string): void {
    if (rung === 'longpoll') return // there is nothing below it
    this.#bad.set(rung, Date.now() + memory)
    this.#changed(rung, why)
    this.#looks = 0
    this.#schedule()
  }

  /** good takes that a rung has been seen to work. */
  good(rung: Rung): void {
    if (this.#bad.delete(rung)) this.#changed(rung, 'it works')
  }

  /** onChange calls a listener when a rung has turned out to be bad, or good again. */
  onChange(listener: (rung: Rung, why: string) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  #changed(rung: Rung, why: string): void {
    void remember(this.#options.store, this.#key(), this.#bad.size > 0 ? Object.fromEntries(this.#bad) : undefined)
    this.#listeners.emit(rung, why)
  }

  /** lookWith tells how to look whether a rung works, and begins to look for bad ones, in the background. */
  lookWith(look: (rung: Rung) => Promise<boolean>): void {
    this.#look = look
    this.#schedule()
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#closed || !this.#look || this.#bad.size === 0) return
    const wait = Math.min((this.#options.retryAfter ?? 5000) * 4 ** this.#looks, 3600_000)
    this.#timer = setTimeout(() => void this.#lookNow(), wait * (0.75 + Math.random() / 2))
    unref(this.#timer)
  }

  async #lookNow(): Promise<void> {
    this.#looks++
    const network = this.#network
    for (const rung of rungs) {
      if (this.isBad(rung) && (await this.#look?.(rung).catch(() => false)) && network === this.#network && !this.#closed) this.good(rung)
    }
    this.#schedule()
  }

  /** close ends the looking. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }
}

const isRung = (name: string): name is Rung => (rungs as readonly string[]).includes(name)

/** networkType is what a browser says of its network. Most say nothing. */
function networkType(): string {
  const connection = (globalThis.navigator as { connection?: { type?: string } } | undefined)?.connection
  return connection?.type ?? ''
}

/** unref lets a Node program end though the timer is still to come. */
function unref(timer: unknown): void {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function') timer.unref()
}
