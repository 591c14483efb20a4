/** DuckwireError is a refusal by the server. `code` is stable, as `forbidden` or `rate_limited`; the text is for people. */
export class DuckwireError extends Error {
  override readonly name: string = 'DuckwireError'
  constructor(
    message: string,
    readonly code: string,
    /** The answer of the server. */
    readonly response?: unknown,
    /** After how many milliseconds to try again, where the server has said so. */
    readonly retryAfter?: number,
  ) {
    super(message)
  }
}

/** StreamError is a stream that did not end well. `code` says why; what came before stays what it was. */
export class StreamError extends DuckwireError {
  override readonly name = 'StreamError'
  constructor(
    message: string,
    code: string,
    /** What became of the stream: `failed`, `cancelled`, `superseded` or `interrupted`. */
    readonly status: string,
  ) {
    super(message, code)
  }
}

interface Reply {
  reason?: unknown
  detail?: unknown
  retry_after?: unknown
}

/** refusal makes an error of the response of an error reply: `{"reason","detail"?,"retry_after"?}`. */
export function refusal(what: string, response: unknown): DuckwireError {
  const reply = (typeof response === 'object' && response !== null ? response : {}) as Reply
  const reason = typeof reply.reason === 'string' ? reply.reason : 'error'
  const detail = typeof reply.detail === 'string' ? reply.detail : reason
  return new DuckwireError(`${what}: ${detail}`, reason, response, typeof reply.retry_after === 'number' ? reply.retry_after : undefined)
}

/** passing are the reasons that heal by waiting. */
const passing = new Set(['rate_limited', 'draining', 'unavailable', 'timeout'])

/** heals reports whether it may be worth while to try again. */
export function heals(error: unknown): boolean {
  return !(error instanceof DuckwireError) || passing.has(error.code)
}
