import type { Patience } from './eventstream.js'
import { Lifetimes } from './lifetimes.js'
import { Pulse } from './pulse.js'

/** WayOptions are options of a {@link Way}. */
export interface WayOptions {
  /** Number of bytes of padding at the beginning of each response, which flushes the buffers of some proxies. */
  pad?: number
  /** How long to wait for a response to begin, in ms. */
  hello?: number
  /** Whether responses are known to arrive without delay. */
  good?: boolean
  /** Called when responses turn out to be buffered. */
  onBad?: (why: string) => void
  /** Called when responses turn out to arrive as they are sent. */
  onGood?: () => void
}

const seen = 3 // number of timely heartbeats after which a way is good

/**
 * Way records whether event streams from the server arrive without delay, and determines the parameters of requests for
 * them. Until it is known to be good, it requests a heartbeat every two seconds, so that a bad way is detected soon.
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

  /** ask returns the query parameters to add to a request, and its timeouts. */
  ask(): { query: Record<string, string>; patience: Patience } {
    const query: Record<string, string> = {}
    this.#heartbeat = this.#good ? 10 : 2
    query['hb'] = String(this.#heartbeat)
    // Until the way is good, responses are short, so that the next one can have a longer heartbeat interval.
    const longest = Math.min(this.#lifetimes.limit, this.#good ? Infinity : 15_000)
    if (longest < Infinity) query['max'] = String(Math.max(1, Math.floor(longest / 1000)))
    if (this.#options.pad) query['pad'] = String(this.#options.pad)
    this.#pulse = new Pulse()
    this.#begun = 0
    return { query, patience: { hello: this.#options.hello ?? 3000, silence: 2500 * this.#heartbeat, onBytes: () => this.#pulse.bytes() } }
  }

  /** sign processes the server's clock in a response's first block and in its heartbeats. */
  sign(now: number): void {
    this.#begun ||= performance.now()
    if (!this.#pulse.beat(now)) this.#options.onBad?.('answers come late and in clumps')
    else if (this.#pulse.inTime >= seen && !this.#good) {
      this.#good = true
      this.#options.onGood?.()
    }
  }

  /** silent is called when a response that had begun fell silent. */
  silent(): void {
    if (!this.#good) this.#options.onBad?.('answers begin, and then are held back')
    this.#good = false // the network may have changed: check again
  }

  /** cut is called when a response ended without an announcement by the server. */
  cut(): void {
    if (this.#begun) this.#lifetimes.died(performance.now() - this.#begun)
  }
}
