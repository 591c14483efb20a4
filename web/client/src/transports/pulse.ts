// heartbeats that arrive within this time of each other, in ms, although they were sent seconds apart, were buffered
const clump = 50
const worstLag = 1000 // maximum delay in addition to the shortest one so far, in ms
const strikes = 2 // a single delay may be a stall of the network, or a computer that was asleep

/**
 * Pulse detects from the server's heartbeats whether a proxy buffers responses. Each heartbeat has the server's clock.
 * Only changes of the difference to the local clock matter, so the clocks need not agree. Heartbeats that come late
 * because the link was busy all the time say nothing about proxies.
 */
export class Pulse {
  #quickest = Infinity
  #lastSent = 0
  #lastArrived = -Infinity
  #strikes = 0
  #bytesAt = -Infinity
  #pause = 0 // longest time without bytes before the next heartbeat, in ms
  #beaten = false // there was a heartbeat since the last bytes
  /** Number of consecutive heartbeats that arrived in time. */
  inTime = 0

  /** bytes is called when bytes arrive, before the heartbeats in them. */
  bytes(arrived: number = performance.now()): void {
    const pause = this.#bytesAt > -Infinity ? arrived - this.#bytesAt : 0
    if (this.#beaten && pause > clump) this.#pause = 0 // what arrives together has the same pause before it
    this.#pause = Math.max(this.#pause, pause)
    this.#bytesAt = arrived
    this.#beaten = false
  }

  /** beat processes a heartbeat, and reports whether responses arrive as they are sent. */
  beat(sent: number, arrived: number = performance.now()): boolean {
    const took = arrived - sent
    this.#quickest = Math.min(this.#quickest, took)
    const late = took > this.#quickest + worstLag || (arrived - this.#lastArrived < clump && sent - this.#lastSent > 10 * clump)
    const held = late && (this.#pause >= worstLag || this.#bytesAt === -Infinity)
    this.#lastArrived = arrived
    this.#lastSent = sent
    this.#beaten = true
    if (late && !held) return true
    this.#strikes = held ? this.#strikes + 1 : 0
    this.inTime = held ? 0 : this.inTime + 1
    return this.#strikes < strikes
  }
}
