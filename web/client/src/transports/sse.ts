import { backoff, sleep } from '../backoff.js'
import { DuckwireError } from '../errors.js'
import { problem } from '../http.js'
import { closed, connecting, type TransportClass } from '../phoenix.js'
import { eventStream, Silence, Status } from './eventstream.js'
import type { Block } from './parser.js'
import { Over } from './posts.js'
import { lifetime, refusedCode, SessionTransport } from './session.js'
import { Turned } from './turns.js'
import { Way } from './way.js'

const longestWait = 2000 // between two attempts to reconnect, in ms

/**
 * SSETransport is a transport for the official Phoenix client: it receives server-sent events and sends POST requests.
 * It is for networks that block WebSockets.
 *
 * ```ts
 * new Socket('wss://host/socket', { transport: SSETransport, params: { token } })
 * ```
 *
 * Unlike `LongPoll` it survives disconnects: it resumes its session, and what did not arrive is sent again, in both
 * directions. The client only joins again if the session is lost.
 */
export class SSETransport extends SessionTransport {
  readonly #origin: string
  readonly #way: Way
  #session = ''
  #after = '0' // number of the last complete frame

  constructor(url: string, protocols?: string | string[], way: Way = new Way({ hello: lifetime })) {
    super(url, protocols, 'sse')
    this.#origin = new URL(this.url).origin
    this.#way = way
  }

  protected session(): Record<string, string> {
    return { session: this.#session }
  }

  /** run reads the session over as many responses as needed. */
  protected async run(): Promise<void> {
    for (let failures = 0; this.readyState !== closed; ) {
      const begun = performance.now()
      const after = this.#after
      try {
        if (!(await this.#follow())) this.#way.cut()
        if (!this.#session) throw new Over('the answer ended before it began', 1006)
      } catch (error) {
        if (error instanceof Over || !this.#session || isRefusal(error)) return this.fail(toOver(error))
        if (error instanceof Turned) continue
        if (error instanceof Silence) this.#way.silent()
        else if (!(error instanceof Status)) this.#way.cut()
      }
      const now = performance.now()
      if (this.isLost) return this.fail(new Over('the connection is lost', 1006))
      // Reconnect immediately after a disconnect, and with increasing delays while nothing is received.
      failures = this.#after !== after || now - begun > longestWait ? 0 : failures + 1
      if (failures > 0) await sleep(backoff(failures, 25, longestWait), this.abort.signal)
    }
  }

  /** follow reads one response to its end, and reports whether the server announced the end. */
  async #follow(): Promise<boolean> {
    const { query, patience } = this.#way.ask()
    if (this.#session) Object.assign(query, { session: this.#session, after: this.#after })
    const request = (signal: AbortSignal): Promise<Response> => this.request(query, { signal, headers: { accept: 'text/event-stream' } })
    let said = false
    const onBytes = (): void => {
      this.heard()
      patience.onBytes?.()
    }
    for await (const heard of eventStream(this.#origin, request, { ...patience, onBytes }, this.abort.signal)) {
      if (typeof heard === 'number') this.#way.sign(heard)
      else said = this.#take(heard)
      if (this.readyState === closed) return true
    }
    return said
  }

  /** take processes a block, and reports whether it is the last one of the response. */
  #take({ event, data, id }: Block): boolean {
    switch (event) {
      case 'message':
        this.#after = id
        this.deliver(data)
        return false
      case 'hello':
        this.#hello(JSON.parse(data) as Hello)
        return false
      case 'bye': {
        const { reason } = JSON.parse(data) as { reason: string }
        // the response reached its maximum duration: the session continues in the next one
        if (reason === 'max') return true
        throw new Over(`the server says goodbye: ${reason}`, { drain: 1012, unauthorized: refusedCode }[reason] ?? 1011)
      }
    }
    return false
  }

  #hello({ session, recovered, now }: Hello): void {
    if (this.#session && !recovered) throw new Over('the session has lost messages', 1011)
    this.#session = session
    if (now) this.#way.sign(now)
    if (this.readyState === connecting) this.opened()
  }
}

interface Hello {
  session: string
  recovered: boolean
  now?: number
}

/** toOver converts a refusal. A response that is not a Duckwire server's may be a proxy's, and temporary. */
function toOver(error: unknown): unknown {
  if (!isRefusal(error)) return error
  const told = problem(error.response, error.text)
  return told instanceof DuckwireError && told.response ? new Over(told.message, refusedCode) : error
}

const isRefusal = (error: unknown): error is Status => error instanceof Status && error.refused

/** sseTransport returns an SSETransport class that uses a shared Way. */
export function sseTransport(way: Way): TransportClass {
  return class extends SSETransport {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols, way)
    }
  }
}
