import { DuckwireError } from './errors.js'
import type { Tokens } from './token.js'

const longest = 30_000 // for how long to wait for a short answer, in ms

/** @internal Requester makes requests to the server, as the user whom the token names. */
export class Requester {
  readonly #base: string
  readonly #tokens: Tokens

  constructor(base: string, tokens: Tokens) {
    this.#base = base
    this.#tokens = tokens
  }

  /** fetch makes a request. A token that is not taken is renewed once. */
  async fetch(method: string, path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const send = async (): Promise<Response> => {
      const token = await this.#tokens.get()
      const headers = { ...init.headers, ...(token && { authorization: `Bearer ${token}` }) }
      return fetch(this.#base + path, { ...init, method, headers, cache: 'no-store' })
    }
    const response = await send()
    if (response.status !== 401) return response
    this.#tokens.refused()
    await response.body?.cancel()
    return send()
  }

  /** json makes a request whose answer is JSON. It throws a {@link DuckwireError} on any status but 2xx. */
  async json<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
    const response = await this.fetch(method, path, {
      headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal ?? AbortSignal.timeout(longest),
    })
    if (!response.ok) throw await this.problem(response)
    return (await response.json()) as T
  }

  /** problem makes an error of an answer that is none: a problem document, OpenAI's error shape, or what a proxy says. */
  async problem(response: Response): Promise<Error> {
    const text = await response.text()
    const wait = Number(response.headers.get('retry-after')) * 1000 || undefined
    try {
      const told = JSON.parse(text) as { code?: string; detail?: string; error?: { code?: string; message?: string } }
      const code = told.code ?? told.error?.code
      if (typeof code === 'string') return new DuckwireError(told.detail ?? told.error?.message ?? code, code, told, wait)
      if (told.error) return new DuckwireError(told.error.message ?? 'refused', `status_${response.status}`, told, wait)
    } catch {
      // It is not from our server.
    }
    if (response.status >= 500 || response.status === 429) return new Error(`status ${response.status}`)
    return new DuckwireError(`status ${response.status}: ${text.slice(0, 200)}`, `status_${response.status}`)
  }
}
