const clump = 50 // heartbeats that arrive within so many ms of each other, though they were sent seconds apart, have been held back
const worstLag = 1000 // how much longer than the quickest so far anything may be on its way, in ms
const strikes = 2 // one may be a stall of the network, or a computer that slept

/**
 * Pulse tells from the server's signs of life whether something on the way holds answers back. Each carries the server's clock; how far that
 * clock is from ours does not matter, only how the distance changes.
 */
export class Pulse {
  #quickest = Infinity
  #lastSent = 0
  #lastArrived = -Infinity
  #strikes = 0
  /** How many signs have come in time, one after the other. */
  inTime = 0

  /** beat takes a sign of life, and reports whether answers come through as they are sent. */
  beat(sent: number, arrived: number = performance.now()): boolean {
    const took = arrived - sent
    this.#quickest = Math.min(this.#quickest, took)
    const held = took > this.#quickest + worstLag || (arrived - this.#lastArrived < clump && sent - this.#lastSent > 10 * clump)
    this.#lastArrived = arrived
    this.#lastSent = sent
    this.#strikes = held ? this.#strikes + 1 : 0
    this.inTime = held ? 0 : this.inTime + 1
    return this.#strikes < strikes
  }
}
