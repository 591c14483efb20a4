import { closed, connecting, open, type Closed, type Transport } from '../phoenix.js'
import { tokenOf } from '../token.js'
import { Over, Posts } from './posts.js'

/** lifetime is how long after the last byte a session may still exist, in ms; the server keeps it for 30 s. */
export const lifetime = 25_000

/** refusedCode is the close code for clients without access. Another transport would not help. */
export const refusedCode = 1008

/** SessionTransport is what the transports have in common that receive by GET and send by POST. */
export abstract class SessionTransport implements Transport {
  readyState = connecting
  /** The transport detects itself that the connection is dead. */
  readonly skipHeartbeat = true
  onopen = (): void => {}
  onerror = (_error?: unknown): void => {}
  onmessage = (_event: { data: string | ArrayBuffer }): void => {}
  onclose = (_event: Closed): void => {}

  /** The address of the transport. */
  protected readonly url: string
  /** Ends every request. */
  protected readonly abort = new AbortController()
  readonly #headers: Record<string, string> = {}
  readonly #posts: Posts
  #heardAt = performance.now()

  constructor(url: string, protocols: string | string[] | undefined, path: string) {
    this.url = url.replace(/^ws/, 'http').replace(/\/websocket\/?(?=\?|$)/, `/${path}`)
    const token = tokenOf(protocols)
    if (token) this.#headers['x-phoenix-authtoken'] = token
    this.#posts = new Posts({
      request: (init) => this.request(this.session(), init),
      signal: this.abort.signal,
      isLost: () => this.isLost,
      onFailure: (error) => this.fail(error),
    })
    setTimeout(() => void this.run()) // after the client has set its callbacks
  }

  /** run opens the session, and reads it until its end. */
  protected abstract run(): Promise<void>

  /** session returns the query parameters that name the session. */
  protected abstract session(): Record<string, string>

  get bufferedAmount(): number {
    return this.#posts.waiting
  }

  send(frame: string | ArrayBuffer): void {
    if (this.readyState === open) this.#posts.send(frame)
  }

  close(code = 1005, reason = ''): void {
    if (this.readyState === closed) return
    this.readyState = closed
    this.abort.abort()
    setTimeout(() => this.onclose({ code, reason, wasClean: true })) // after the received messages
  }

  /** request sends a request. Every request has the same credentials as the first. */
  protected request(more: Record<string, string>, init: Omit<RequestInit, 'headers'> & { headers: Record<string, string> }): Promise<Response> {
    const url = this.url + (this.url.includes('?') ? '&' : '?') + new URLSearchParams(more).toString()
    return fetch(url, { ...init, headers: { ...this.#headers, ...init.headers }, cache: 'no-store' })
  }

  /** heard is called when bytes arrive. */
  protected heard(): void {
    this.#heardAt = performance.now()
  }

  /** Whether nothing was heard for so long that the session may be over. */
  protected get isLost(): boolean {
    return performance.now() - this.#heardAt > lifetime
  }

  protected opened(): void {
    this.readyState = open
    this.onopen()
  }

  /** deliver passes a message on in a separate task, as a WebSocket does: an error that one throws does not affect the others. */
  protected deliver(data: string): void {
    setTimeout(() => this.onmessage({ data }))
  }

  protected fail(error: unknown): void {
    if (this.readyState === closed) return
    this.onerror(error)
    this.close(error instanceof Over ? error.code : 1006, error instanceof Error ? error.message : '')
  }
}
