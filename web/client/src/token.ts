/** TokenSource is a token, or what returns one: it is called for each new connection, so a renewed token takes effect by itself. */
export type TokenSource = string | (() => string | Promise<string>)

const margin = 30_000 // a token that ends sooner than this, in ms, is not worth a request

/** Tokens gets tokens from the application. */
export class Tokens {
  readonly #source: TokenSource | undefined
  #last: { token: string; until: number } | undefined
  #asking: Promise<string> | undefined

  constructor(source: TokenSource | undefined) {
    this.#source = source
  }

  /** fresh asks the application. Those who ask at one time get one answer. '' is none. */
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

  /** get returns the last token while it holds, else a fresh one: for requests, of which there are many. */
  get(): Promise<string> {
    if (this.#last && Date.now() < this.#last.until - margin) return Promise.resolve(this.#last.token)
    return this.fresh()
  }

  /** refused says that the server did not take the last token: the next one is fresh. */
  refused(): void {
    this.#last = undefined
  }
}

/** expiry reads when a JWT ends, in ms. What is none, and what does not say, does not end as far as we know. */
function expiry(token: string): number {
  try {
    const payload = token.split('.')[1] ?? ''
    const { exp } = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : Infinity
  } catch {
    return Infinity
  }
}

/** subprotocols are how a browser's WebSocket carries a token (protocol phoenix, option authToken). */
export function subprotocols(token: string): string[] {
  return ['phoenix', prefix + btoa(token).replace(/=/g, '')]
}

const prefix = 'base64url.bearer.phx.'

/** tokenOf takes the token out of subprotocols. */
export function tokenOf(protocols: string | string[] | undefined): string {
  const carrier = [protocols ?? []].flat().find((p) => p.startsWith(prefix))
  return carrier === undefined ? '' : atob(carrier.slice(prefix.length))
}
