import type { Transport } from '../phoenix.js'
import { patienceFor } from './patience.js'

const ours = '[null,"duckwire","phoenix",' // the beginning of the reply
const ping = `${ours}"heartbeat",{}]`

/** isReply reports whether a message is the reply to a heartbeat of this package. */
export const isReply = (data: string | ArrayBuffer): boolean => typeof data === 'string' && data.startsWith(ours)

/** sendHeartbeat sends a heartbeat, to which the server replies at once. */
export const sendHeartbeat = (transport: Transport): void => transport.send(ping)

/**
 * Heartbeat detects a dead WebSocket. The official client waits for the reply to its heartbeat, which on a slow link
 * comes behind everything that was sent before. Here each message that arrives is a sign of life, and so is what leaves
 * the buffer. What was sent and not confirmed extends the wait.
 */
export class Heartbeat {
  readonly #transport: Transport
  readonly #interval: number
  readonly #onDead: () => void
  readonly #timer: ReturnType<typeof setInterval>
  #heardAt = performance.now()
  #askedAt = performance.now() // when the last heartbeat was sent
  #waits = false // for its reply
  #sent = 0 // bytes
  #sentBefore = 0 // bytes that were sent before that heartbeat
  #confirmed = 0 // bytes that the server has received for certain
  #buffered = 0

  /** A heartbeat is sent after each interval, in ms. Without a sign of life for another one the connection is dead. */
  constructor(transport: Transport, interval: number, onDead: () => void) {
    this.#transport = transport
    this.#interval = interval
    this.#onDead = onDead
    this.#timer = setInterval(() => this.#look(), interval / 4)
  }

  /** sends is called before each message that is sent. */
  sends(data: string | ArrayBuffer): void {
    this.#sent += typeof data === 'string' ? data.length : data.byteLength
  }

  /** heard is called with each message, and reports whether it is a reply to a heartbeat of this package. */
  heard(data: string | ArrayBuffer): boolean {
    this.#heardAt = performance.now()
    if (!isReply(data)) return false
    this.#waits = false
    this.#confirmed = this.#sentBefore
    return true
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = performance.now()
    const buffered = this.#transport.bufferedAmount ?? 0
    if (buffered < this.#buffered) this.#heardAt = now
    this.#buffered = buffered
    if (this.#waits) {
      const silent = now - Math.max(this.#askedAt, this.#heardAt)
      if (silent >= this.#interval + patienceFor(this.#sent - this.#confirmed)) this.#onDead()
    } else if (now - this.#askedAt >= this.#interval) {
      this.#askedAt = now
      this.#waits = true
      this.#sentBefore = this.#sent
      sendHeartbeat(this.#transport)
    }
  }
}
