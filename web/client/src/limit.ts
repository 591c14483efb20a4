/**
 * Limit ends a request when its caller does, or when it has taken too long. AbortSignal.any, AbortSignal.timeout and the
 * signal of a response would not do: Node.js 20 may collect them before they are aborted, and what waits on a dead
 * connection would wait for ever.
 */
export class Limit {
  readonly #control = new AbortController()
  readonly #outer: AbortSignal | undefined
  readonly #follow = (): void => this.abort(this.#outer?.reason)
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(outer?: AbortSignal) {
    this.#outer = outer
    outer?.addEventListener('abort', this.#follow)
    if (outer?.aborted) this.#follow()
  }

  /** The signal for the request. */
  get signal(): AbortSignal {
    return this.#control.signal
  }

  abort(reason?: unknown): void {
    this.#control.abort(reason)
  }

  /** within aborts the request with an error after some milliseconds from now, instead of at the time of an earlier call. */
  within(ms: number, error: () => Error): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.abort(error()), ms)
  }

  /** read returns the bytes of a response as they arrive. */
  async *read(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = body.getReader()
    this.signal.addEventListener('abort', () => void reader.cancel(this.signal.reason).catch(() => {}))
    for (;;) {
      const { done, value } = await reader.read()
      this.signal.throwIfAborted()
      if (done) return
      yield value
    }
  }

  /** end forgets the time and the caller. */
  end(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#follow)
  }
}

/** timed calls f with a signal that is aborted with the given one, or after some milliseconds, and settles at once then. */
export async function timed<T>(ms: number, signal: AbortSignal | undefined, f: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new Limit(signal)
  limit.within(ms, () => new DOMException(`no answer within ${ms} ms`, 'TimeoutError'))
  try {
    return await new Promise<T>((resolve, reject) => {
      limit.signal.addEventListener('abort', () => reject(limit.signal.reason as Error))
      limit.signal.throwIfAborted()
      f(limit.signal).then(resolve, reject)
    })
  } finally {
    limit.end()
  }
}
