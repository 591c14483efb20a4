import { DuckwireError, heals } from './errors.js'

/**
 * TokenSource is a token, or a function that returns one. It is called for each new connection, when the server warns
 * that the current token expires soon, and after the server rejected a token.
 *
 * If the function fails, it is called again after a while. If it throws a {@link DuckwireError} with a code of its own,
 * such as `new DuckwireError('signed out', 'signed_out')`, there are no more attempts, as after a rejected token
 * ({@link Duckwire.onRefused}).
 */
export type TokenSource = string | (() => string | Promise<string>)

const margin = 30_000 // a token that expires sooner is not used for a request, in ms
const mostRefusals = 3 // in a row, of tokens of a function

/** Tokens gets tokens from the application. */
export class Tokens {
  readonly #source: TokenSource | undefined
  #last: { token: string; until: number } | undefined
  #asking: Promise<string> | undefined
  #refusals = 0

  constructor(source: TokenSource | undefined) {
    this.#source = source
  }

  /** Whether the application may return another token than the last one. */
  get renewable(): boolean {
    return typeof this.#source === 'function'
  }

  /**
   * fresh gets a token from the application. Concurrent callers share one call. '' means no token. Errors: those of the
   * application's function; {@link Malformed}.
   */
  fresh(): Promise<string> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<string> {
    const token: unknown = typeof this.#source === 'function' ? await this.#source() : (this.#source ?? '')
    if (typeof token !== 'string' || !/^[!-~]*$/.test(token)) throw new Malformed()
    this.#last = { token, until: expiry(token) }
    return token
  }

  /** get returns the last token while it is valid, otherwise a new one. It is for requests, which are frequent. */
  get(): Promise<string> {
    if (this.#last && Date.now() < this.#last.until - margin) return Promise.resolve(this.#last.token)
    return this.fresh()
  }

  /** forget is called when the server rejected the last token: the next one is new. */
  forget(): void {
    this.#last = undefined
  }

  /**
   * refused is called when the server rejected a connection's token. It reports whether that is final: no other token
   * can be had, or several were rejected in a row.
   */
  refused(): boolean {
    this.forget()
    return ++this.#refusals >= (this.renewable ? mostRefusals : 1)
  }

  /** accepted is called when the server accepted a connection's token, or the application begins again. */
  accepted(): void {
    this.#refusals = 0
  }
}

/** Malformed is thrown if the application's token is no text of visible ASCII characters, as every token is. */
export class Malformed extends DuckwireError {
  constructor() {
    super('the token must be a string of visible ASCII characters', 'unauthorized')
  }
}

/** stops reports whether the application's function said that there are no more tokens. */
export function stops(error: unknown): error is DuckwireError {
  return error instanceof DuckwireError && !(error instanceof Malformed) && !heals(error)
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
