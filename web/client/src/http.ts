import { timed } from './limit.js'
import { DuckwireError } from './errors.js'
import type { Tokens } from './token.js'

const longest = 30_000 // timeout of short requests, in ms

/** @internal Requester sends requests to the server with the user's token. */
export class Requester {
  readonly #base: string
  readonly #tokens: Tokens

  /** The server's origin. */
  readonly origin: string

  constructor(base: string, tokens: Tokens) {
    this.#base = base
    this.origin = new URL(base).origin
    this.#tokens = tokens
  }

  /** fetch sends a request. If the token is rejected, it retries once with a new one. */
  async fetch(method: string, path: string, init: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {}): Promise<Response> {
    const send = async (): Promise<Response> => {
      const token = await this.#tokens.get()
      const headers = { ...init.headers, ...(token && { authorization: `Bearer ${token}` }) }
      return fetch(this.#base + path, { ...init, method, headers, cache: 'no-store' })
    }
    const response = await send()
    if (response.status !== 401) return response
    this.#tokens.forget()
    await response.body?.cancel()
    return send()
  }

  /**
   * json sends a request and returns the response's JSON. It throws an error for any status other than 2xx, and if the
   * response has not come within limit milliseconds.
   */
  json<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
    limit = longest,
  ): Promise<T> {
    return timed(limit, signal, async (signal) => {
      const response = await this.fetch(method, path, {
        headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      })
      if (!response.ok) throw problem(response, await response.text())
      return (await response.json()) as T
    })
  }
}

/** problem converts an error response to an error: a problem document, OpenAI's error format, or a proxy's response. */
export function problem(response: Response, text: string): Error {
  const wait = Number(response.headers.get('retry-after')) * 1000 || undefined
  try {
    const told = JSON.parse(text) as { code?: string; detail?: string; error?: { code?: string; message?: string } }
    const code = told.code ?? told.error?.code
    if (typeof code === 'string') return new DuckwireError(told.detail ?? told.error?.message ?? code, code, told, wait)
    if (told.error) return new DuckwireError(told.error.message ?? 'refused', `status_${response.status}`, told, wait)
  } catch {
    // The response is not from a Duckwire server.
  }
  if (response.status >= 500 || response.status === 429) return new Error(`status ${response.status}`)
  return new DuckwireError(`status ${response.status}: ${text.slice(0, 200)}`, `status_${response.status}`)
}
