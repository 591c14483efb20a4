/**
 * TokenSource is a token, or a function that returns one. It is called for each new connection, so a renewed token
 * takes effect automatically.
 */
export type TokenSource = string | (() => string | Promise<string>)

const margin = 30_000 // a token that expires sooner is not used for a request, in ms

/** Tokens gets tokens from the application. */
export class Tokens {
  readonly #source: TokenSource | undefined
  #last: { token: string; until: number } | undefined
  #asking: Promise<string> | undefined

  constructor(source: TokenSource | undefined) {
    this.#source = source
  }

  /** fresh gets a token from the application. Concurrent callers share one call. '' means no token. */
  fresh(): Promise<string> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<string> {
    const token = typeof this.#source === 'function' ? await this.#source() : (this.#source ?? '')
    this.#last = { token, until: expiry(token) }
    return token
  }

  /** get returns the last token while it is valid, otherwise a new one. It is for requests, which are frequent. */
  get(): Promise<string> {
    if (this.#last && Date.now() < this.#last.until - margin) return Promise.resolve(this.#last.token)
    return this.fresh()
  }

  /** refused is called when the server rejected the last token: the next one is new. */
  refused(): void {
    this.#last = undefined
  }
}

/** expiry returns a JWT's expiry in ms. For anything else, and without exp, it returns Infinity. */
function expiry(token: string): number {
  try {
    const payload = token.split('.')[1] ?? ''
    const { exp } = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : Infinity
  } catch {
    return Infinity
  }
}

/** subprotocols returns the WebSocket subprotocols that carry a token (Phoenix's option authToken). */
export function subprotocols(token: string): string[] {
  return ['phoenix', prefix + btoa(token).replace(/=/g, '')]
}

const prefix = 'base64url.bearer.phx.'

/** tokenOf returns the token in subprotocols. */
export function tokenOf(protocols: string | string[] | undefined): string {
  const carrier = [protocols ?? []].flat().find((p) => p.startsWith(prefix))
  return carrier === undefined ? '' : atob(carrier.slice(prefix.length))
}
