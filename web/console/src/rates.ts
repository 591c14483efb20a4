// Rates of counters, from periodic readings.

import type { Stream } from './api'

export interface Rated extends Stream {
  rate: number // tokens per second
}

export class Rates {
  #at = 0
  #before = new Map<string, { made: number; delivered: number }>()

  /**
   * look takes the current list of streams, and returns it with rates, and the sums. The first call returns no rates.
   */
  look(streams: Stream[], now = performance.now()): { rated: Rated[]; made: number; delivered: number; first: boolean } {
    const seconds = (now - this.#at) / 1000
    const first = this.#at === 0
    let made = 0
    let delivered = 0
    const rated = streams.map((s) => {
      const before = this.#before.get(s.id)
      if (first || !before) return { ...s, rate: 0 }
      const rate = (s.account.tokens_made - before.made) / seconds
      made += rate
      delivered += (s.account.tokens_delivered - before.delivered) / seconds
      return { ...s, rate }
    })
    this.#at = now
    this.#before = new Map(streams.map((s) => [s.id, { made: s.account.tokens_made, delivered: s.account.tokens_delivered }]))
    return { rated, made, delivered, first }
  }
}
