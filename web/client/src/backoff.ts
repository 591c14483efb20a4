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
