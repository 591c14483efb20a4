import { backoff, sleep } from '../backoff.js'
import { timed } from '../limit.js'
import { patienceFor } from './patience.js'

const longestWait = 2000 // between two attempts, in ms
const patience = 10_000 // for the answer, in addition to what the body needs on a slow link, in ms
const enough = 65_536 // about the size of a body at which the next POST begins, in characters

/** tooLargeCode is the close code after a message that the server does not read because of its size (RFC 6455). */
export const tooLargeCode = 1009

/** Over is thrown if a session is lost for good. */
export class Over extends Error {
  constructor(
    message: string,
    readonly code: number,
  ) {
    super(message)
  }
}

/** PostsOptions are options of {@link Posts}. */
export interface PostsOptions {
  /** Sends a request of the session. */
  request: (init: Omit<RequestInit, 'headers'> & { headers: Record<string, string> }) => Promise<Response>
  /** Ends the requests. */
  signal: AbortSignal
  /** Reports whether nothing is heard from the server, so that a failed POST is not repeated any more. */
  isLost: () => boolean
  /** Called once a message could not be sent. The session is over then. */
  onFailure: (error: unknown) => void
}

/** Posts sends the messages of a session by POST, in their order, so that a slow link makes progress with each. */
export class Posts {
  readonly #options: PostsOptions
  #queue: string[] = []
  #posting = 0 // number of messages in the current POST

  constructor(options: PostsOptions) {
    this.#options = options
  }

  /** Number of messages that the server has not confirmed. */
  get waiting(): number {
    return this.#queue.length + this.#posting
  }

  send(frame: string | ArrayBuffer): void {
    this.#queue.push(typeof frame === 'string' ? frame : base64(frame))
    // together with what else is sent in this task
    if (this.waiting === 1) setTimeout(() => void this.#post())
  }

  /** post sends what is queued, one request at a time to keep the order. */
  async #post(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#options.signal.aborted) await this.#deliver(this.#next())
    } catch (error) {
      this.#queue = []
      this.#options.onFailure(error)
    } finally {
      this.#posting = 0
    }
  }

  /** next removes the messages of the next POST from the queue, and returns its body. */
  #next(): string {
    let size = 0
    const end = this.#queue.findIndex((line) => (size += line.length) >= enough)
    const lines = this.#queue.splice(0, end < 0 ? this.#queue.length : end + 1)
    this.#posting = lines.length
    return lines.join('\n')
  }

  /** deliver sends a body until the server confirms it. The server ignores a repeated body. */
  async #deliver(body: string): Promise<void> {
    const { request, signal, isLost } = this.#options
    for (let tries = 1; ; tries++) {
      try {
        const { status } = await timed(patience + patienceFor(body.length), signal, async (signal) => {
          const answer = await request({ method: 'POST', signal, headers: { 'content-type': 'application/x-ndjson' }, body })
          return (await answer.json()) as { status: number }
        })
        if (status === 200) return
        throw new Over(`what was sent was not taken: status ${status}`, status === 413 ? tooLargeCode : 1011)
      } catch (error) {
        if (error instanceof Over || signal.aborted) throw error
        if (isLost()) throw new Over('what was sent may be lost', 1006)
      }
      await sleep(backoff(tries, 25, longestWait), signal)
    }
  }
}

function base64(buffer: ArrayBuffer): string {
  let bytes = ''
  for (const byte of new Uint8Array(buffer)) bytes += String.fromCharCode(byte)
  return btoa(bytes)
}
