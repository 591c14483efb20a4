/**
 * DuckwireError is an error reported by the server. `code` is stable, such as `forbidden` or `rate_limited`; the
 * message is for people.
 */
export class DuckwireError extends Error {
  override readonly name: string = 'DuckwireError'
  constructor(
    message: string,
    readonly code: string,
    /** The server's response. */
    readonly response?: unknown,
    /** After how many milliseconds to retry, if the server said so. */
    readonly retryAfter?: number,
  ) {
    super(message)
  }
}

/** StreamError is thrown if a stream ended other than `done`. `code` says why; the text received so far is valid. */
export class StreamError extends DuckwireError {
  override readonly name = 'StreamError'
  constructor(
    message: string,
    code: string,
    /** The stream's status: `failed`, `cancelled`, `superseded` or `interrupted`. */
    readonly status: string,
  ) {
    super(message, code)
  }
}

interface Reply {
  reason?: unknown
  code?: unknown
  detail?: unknown
  retry_after_ms?: unknown
}

/**
 * refusal converts an error reply to an error: `{"reason","code"?,"detail"?,"retry_after_ms"?}`. With a code,
 * the reason is in the words of other clients.
 */
export function refusal(what: string, response: unknown): DuckwireError {
  const reply = (typeof response === 'object' && response !== null ? response : {}) as Reply
  const reason = typeof reply.reason === 'string' ? reply.reason : 'error'
  const detail = typeof reply.detail === 'string' ? reply.detail : reason
  const code = typeof reply.code === 'string' ? reply.code : reason
  return new DuckwireError(`${what}: ${detail}`, code, response, typeof reply.retry_after_ms === 'number' ? reply.retry_after_ms : undefined)
}

/** passing are the codes of temporary errors. */
const passing = new Set(['rate_limited', 'queue_full', 'draining', 'unavailable', 'timeout'])

/** heals reports whether a retry may succeed. */
export function heals(error: unknown): boolean {
  return !(error instanceof DuckwireError) || passing.has(error.code)
}
