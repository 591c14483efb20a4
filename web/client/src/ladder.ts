import { Emitter, type Unsubscribe } from './emitter.js'
import { recall, remember, type Store } from './store.js'

/** Rung is a transport, the best one first: `websocket`, `sse`, `padded` (SSE that begins with padding), `longpoll`. */
export type Rung = 'websocket' | 'sse' | 'padded' | 'longpoll'

export const rungs: readonly Rung[] = ['websocket', 'sse', 'padded', 'longpoll']

const memory = 24 * 3600_000 // how long a bad rung is remembered, in ms

/** LadderOptions are options of a {@link Ladder}. */
export interface LadderOptions {
  store: Store
  /** The server's origin. */
  origin: string
  /** Returns a name of the current network, if there is one. */
  network?: () => string
  /**
   * After how many milliseconds to check first whether a bad rung works again. Each further check waits four times as
   * long, up to an hour.
   */
  retryAfter?: number
}

/**
 * Ladder records which transports are bad, because they do not work or because something buffers them. It remembers
 * that for a day, per network and server. A rung is only bad if a lower one works: if none does, the server or the
 * network is down.
 */
export class Ladder {
  readonly #options: LadderOptions
  readonly #listeners = new Emitter<[Rung, string]>()
  readonly #bad = new Map<Rung, number>() // rung → end of its being bad
  #network: string | undefined
  #looks = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #look: ((rung: Rung) => Promise<boolean>) | undefined
  #closed = false

  constructor(options: LadderOptions) {
    this.#options = options
  }

  /** load reads what is stored about the current network. */
  async load(): Promise<void> {
    const network = this.#options.network?.() ?? networkType()
    if (network === this.#network) return
    this.#network = network
    const kept = await recall(this.#options.store, this.#key())
    if (network !== this.#network) return // the network changed meanwhile
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

  /** isBad reports whether a rung is bad. */
  isBad(rung: Rung): boolean {
    return (this.#bad.get(rung) ?? 0) > Date.now()
  }

  /** best returns the first of some rungs that is not bad, or the last one. */
  best(among: readonly Rung[]): Rung {
    const lowest = among.at(-1)
    if (lowest === undefined) throw new TypeError('there must be a transport to choose')
    return among.find((rung) => !this.isBad(rung)) ?? lowest
  }

  /** fail records that a rung is bad, and why. */
  fail(rung: Rung, why: string): void {
    if (rung === 'longpoll') return // there is no lower rung
    this.#bad.set(rung, Date.now() + memory)
    this.#changed(rung, why)
    this.#looks = 0
    this.#schedule()
  }

  /** good records that a rung works. */
  good(rung: Rung): void {
    if (this.#bad.delete(rung)) this.#changed(rung, 'it works')
  }

  /** onChange calls a listener when a rung becomes bad, or good again. */
  onChange(listener: (rung: Rung, why: string) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  #changed(rung: Rung, why: string): void {
    void remember(this.#options.store, this.#key(), this.#bad.size > 0 ? Object.fromEntries(this.#bad) : undefined)
    this.#listeners.emit(rung, why)
  }

  /** lookWith sets how to check whether a rung works, and starts checking bad rungs in the background. */
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

  /** close stops the checks. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }
}

const isRung = (name: string): name is Rung => (rungs as readonly string[]).includes(name)

/** networkType returns the browser's type of network. Most browsers do not have it. */
function networkType(): string {
  const connection = (globalThis.navigator as { connection?: { type?: string } } | undefined)?.connection
  return connection?.type ?? ''
}

/** unref lets a Node.js program exit although the timer is pending. */
function unref(timer: unknown): void {
  if (typeof timer === 'object') (timer as { unref?: () => void } | null)?.unref?.()
}
