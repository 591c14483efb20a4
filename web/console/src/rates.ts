// Rates from figures that only grow, looked at again and again.

import type { Stream } from './api'

export interface Rated extends Stream {
  rate: number // tokens a second
}

export class Rates {
  #at = 0
  #before = new Map<string, { made: number; delivered: number }>()

  /** look takes the streams of now, and returns them with their rates, and the sums; there are none at the first time. */
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
