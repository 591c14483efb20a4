import { backoff, sleep, timed } from '../backoff.js'
import { DuckwireError } from '../errors.js'
import { problem } from '../http.js'
import { closed, connecting, open, type Closed, type Transport, type TransportClass } from '../phoenix.js'
import { tokenOf } from '../token.js'
import { eventStream, Silence, Status } from './eventstream.js'
import type { Block } from './parser.js'
import { Turned } from './turns.js'
import { Way } from './way.js'

const lifetime = 25_000 // how long after the last byte the session may still exist, in ms; the server keeps it for 30 s
const longestWait = 2000 // between two attempts to reconnect, in ms

/** Over is thrown if the session is lost for good. */
class Over extends Error {
  constructor(
    message: string,
    readonly code: number,
  ) {
    super(message)
  }
}

/** tooLargeCode is the close code after a message that the server does not read because of its size (RFC 6455). */
export const tooLargeCode = 1009

/** refusedCode is the close code for clients without access. Another transport would not help. */
export const refusedCode = 1008

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
export class SSETransport implements Transport {
  readyState = connecting
  /** The server sends heartbeats, so the client need not. */
  readonly skipHeartbeat = true
  onopen = (): void => {}
  onerror = (_error?: unknown): void => {}
  onmessage = (_event: { data: string | ArrayBuffer }): void => {}
  onclose = (_event: Closed): void => {}

  readonly #url: string
  readonly #origin: string
  readonly #headers: Record<string, string> = {}
  readonly #abort = new AbortController()
  readonly #way: Way
  #session = ''
  #after = '0' // number of the last complete frame
  #seen = performance.now()
  #queue: string[] = [] // lines for the next POST
  #posting = 0 // number of lines in the current POST

  constructor(url: string, protocols?: string | string[], way: Way = new Way({ hello: lifetime })) {
    this.#url = url.replace(/^ws/, 'http').replace(/\/websocket\/?(?=\?|$)/, '/sse')
    this.#origin = new URL(this.#url).origin
    this.#way = way
    const token = tokenOf(protocols)
    if (token) this.#headers['x-phoenix-authtoken'] = token
    setTimeout(() => void this.#run()) // after the client has set its callbacks
  }

  get bufferedAmount(): number {
    return this.#queue.length + this.#posting
  }

  send(frame: string | ArrayBuffer): void {
    if (this.readyState !== open) return
    this.#queue.push(typeof frame === 'string' ? frame : base64(frame))
    // together with what else is sent in this task
    if (this.#queue.length === 1 && this.#posting === 0) setTimeout(() => void this.#post())
  }

  close(code = 1005, reason = ''): void {
    if (this.readyState === closed) return
    this.readyState = closed
    this.#queue = []
    this.#abort.abort()
    setTimeout(() => this.onclose({ code, reason, wasClean: true })) // after the received messages
  }

  #fail(error: unknown): void {
    if (this.readyState === closed) return
    this.onerror(error)
    this.close(error instanceof Over ? error.code : 1006, error instanceof Error ? error.message : '')
  }

  /** Every request has the same credentials as the first. */
  #request(more: Record<string, string>, init: Omit<RequestInit, 'headers'> & { headers: Record<string, string> }): Promise<Response> {
    const url = this.#url + (this.#url.includes('?') ? '&' : '?') + new URLSearchParams(more).toString()
    return fetch(url, { ...init, headers: { ...this.#headers, ...init.headers }, cache: 'no-store' })
  }

  /** run reads the session over as many responses as needed. */
  async #run(): Promise<void> {
    for (let failures = 0; this.readyState !== closed; ) {
      const begun = performance.now()
      const after = this.#after
      try {
        if (!(await this.#follow())) this.#way.cut()
        if (!this.#session) throw new Over('the answer ended before it began', 1006)
      } catch (error) {
        if (error instanceof Over || !this.#session || isRefusal(error)) return this.#fail(toOver(error))
        if (error instanceof Turned) continue
        if (error instanceof Silence) this.#way.silent()
        else if (!(error instanceof Status)) this.#way.cut()
      }
      const now = performance.now()
      if (now - this.#seen > lifetime) return this.#fail(new Over('the connection is lost', 1006))
      // Reconnect immediately after a disconnect, and with increasing delays while nothing is received.
      failures = this.#after !== after || now - begun > longestWait ? 0 : failures + 1
      if (failures > 0) await sleep(backoff(failures, 25, longestWait), this.#abort.signal)
    }
  }

  /** follow reads one response to its end, and reports whether the server announced the end. */
  async #follow(): Promise<boolean> {
    const { query, patience } = this.#way.ask()
    if (this.#session) Object.assign(query, { session: this.#session, after: this.#after })
    const request = (signal: AbortSignal): Promise<Response> => this.#request(query, { signal, headers: { accept: 'text/event-stream' } })
    let said = false
    for await (const heard of eventStream(this.#origin, request, patience, this.#abort.signal)) {
      this.#seen = performance.now()
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
        // In a separate task, as for a WebSocket: an error that one throws does not affect the others.
        setTimeout(() => this.onmessage({ data }))
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
    if (this.readyState === connecting) {
      this.readyState = open
      this.onopen()
    }
  }

  /** post sends what is queued, one request at a time to keep the order. */
  async #post(): Promise<void> {
    while (this.#queue.length > 0) {
      const lines = this.#queue
      this.#queue = []
      this.#posting = lines.length
      try {
        await this.#deliver(lines.join('\n'))
      } catch (error) {
        return this.#fail(error)
      } finally {
        this.#posting = 0
      }
    }
  }

  /** deliver sends a body until the server confirms it. The server ignores a repeated body. */
  async #deliver(body: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const { status } = await timed(10_000, this.#abort.signal, async (signal) => {
          const init = { method: 'POST', signal, headers: { 'content-type': 'application/x-ndjson' }, body }
          return (await (await this.#request({ session: this.#session }, init)).json()) as { status: number }
        })
        if (status === 200) return
        throw new Over(`what was sent was not taken: status ${status}`, status === 413 ? tooLargeCode : 1011)
      } catch (error) {
        if (error instanceof Over || this.readyState === closed) throw error
        if (performance.now() - this.#seen > lifetime) throw new Over('what was sent may be lost', 1006)
      }
      await sleep(backoff(tries, 25, longestWait), this.#abort.signal)
    }
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

function base64(buffer: ArrayBuffer): string {
  let bytes = ''
  for (const byte of new Uint8Array(buffer)) bytes += String.fromCharCode(byte)
  return btoa(bytes)
}

/** sseTransport returns an SSETransport class that uses a shared Way. */
export function sseTransport(way: Way): TransportClass {
  return class extends SSETransport {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols, way)
    }
  }
}
