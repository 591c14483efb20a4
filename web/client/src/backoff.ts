/**
 * backoff returns how long to wait before attempt n (1, 2, …), in ms, with full jitter, so that clients do not
 * reconnect at the same time.
 */
export function backoff(tries: number, base = 500, most = 30_000): number {
  return Math.random() * Math.min(most, base * 2 ** Math.min(tries, 20))
}

/** sleep waits, or returns as soon as the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })
}

/**
 * timed calls f with a signal that is aborted with the given one, or after some milliseconds, and settles at once then.
 * AbortSignal.any and the signal of a response would not do: Node.js 20 may collect them before they are aborted, and what
 * waits on a dead connection would wait for ever.
 */
export async function timed<T>(ms: number, signal: AbortSignal | undefined, f: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const control = new AbortController()
  const abort = (): void => control.abort(signal?.reason)
  const timer = setTimeout(() => control.abort(new DOMException(`no answer within ${ms} ms`, 'TimeoutError')), ms)
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()
  try {
    return await new Promise<T>((resolve, reject) => {
      control.signal.addEventListener('abort', () => reject(control.signal.reason as Error))
      control.signal.throwIfAborted()
      f(control.signal).then(resolve, reject)
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
