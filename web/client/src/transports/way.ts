import type { Patience } from './eventstream.js'
import { Lifetimes } from './lifetimes.js'
import { Pulse } from './pulse.js'

/** WayOptions are what differs between event streams. */
export interface WayOptions {
  /** With how many bytes to pad the beginning of each answer, so that what holds back a beginning lets go. */
  pad?: number
  /** For how long to wait for an answer to begin, in ms. */
  hello?: number
  /** Whether answers have been seen to come through. */
  good?: boolean
  /** What to do when the way turns out to hold answers back. */
  onBad?: (why: string) => void
  /** What to do when answers have been seen to come through as they are sent. */
  onGood?: () => void
}

const seen = 3 // signs of life that show a way to be good

/**
 * Way is what is known of the way that event streams take from the server: how to ask for them, and whether they come through. As long as it is
 * not known to be good, it asks for a sign of life every two seconds, so that a bad one is found soon.
 */
export class Way {
  readonly #lifetimes = new Lifetimes()
  readonly #options: WayOptions
  #good: boolean
  #heartbeat = 0 // s
  #pulse = new Pulse()
  #begun = 0

  constructor(options: WayOptions = {}) {
    this.#options = options
    this.#good = options.good ?? false
  }

  /** ask returns what is to be added to a request's query, and for how long to wait for its answer. */
  ask(): { query: Record<string, string>; patience: Patience } {
    const query: Record<string, string> = {}
    this.#heartbeat = this.#good ? 10 : 2
    query['hb'] = String(this.#heartbeat)
    // The answer that shows the way to be good is a short one: the next has fewer signs of life.
    const longest = Math.min(this.#lifetimes.limit, this.#good ? Infinity : 15_000)
    if (longest < Infinity) query['max'] = String(Math.max(1, Math.floor(longest / 1000)))
    if (this.#options.pad) query['pad'] = String(this.#options.pad)
    this.#pulse = new Pulse()
    this.#begun = 0
    return { query, patience: { hello: this.#options.hello ?? 3000, silence: 2500 * this.#heartbeat } }
  }

  /** sign takes a sign of life of the answer: the server's clock in its first block and its heartbeats. */
  sign(now: number): void {
    this.#begun ||= performance.now()
    if (!this.#pulse.beat(now)) this.#options.onBad?.('answers come late and in clumps')
    else if (this.#pulse.inTime >= seen && !this.#good) {
      this.#good = true
      this.#options.onGood?.()
    }
  }

  /** silent takes that an answer which had begun fell silent. */
  silent(): void {
    if (!this.#good) this.#options.onBad?.('answers begin, and then are held back')
    this.#good = false // we may be on another network: look again
  }

  /** cut takes that an answer ended without a word of the server's. */
  cut(): void {
    if (this.#begun) this.#lifetimes.died(performance.now() - this.#begun)
  }
}
