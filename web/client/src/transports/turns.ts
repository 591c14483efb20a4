const slots = 4 // of the six connections that a browser opens to a server over HTTP/1.1; the others are for requests
const shortest = 2000 // minimum duration of a turn, in ms
const lookEvery = 500 // ms

/** Turned means that this page ended a response because another page waits for its turn. */
export class Turned extends Error {}

/** Turn is the permission for one long response. */
export interface Turn {
  /** onWanted calls the listener when another page waits for the turn and the minimum duration has passed. */
  onWanted(listener: () => void): void
  /** release ends the turn. */
  release(): void
}

const free: Turn = { onWanted() {}, release() {} }

/**
 * takeTurn waits until this page may have a long response from a server. Over HTTP/1.1 a browser opens at most six
 * connections to a server, shared by all its pages: six long responses would block all other requests. So the pages of
 * a browser share four slots, and take turns if there are more pages. Over HTTP/2, outside of browsers, and without Web
 * Locks (which need a secure context), it does not wait.
 */
export async function takeTurn(origin: string, signal: AbortSignal): Promise<Turn> {
  const locks = webLocks()
  if (!locks || isMultiplexed(origin)) return free
  const name = await leastWanted(locks, `duckwire:answer:${origin}:`)
  const release = await hold(locks, name, signal)
  let timer: ReturnType<typeof setTimeout> | undefined
  return {
    onWanted(listener) {
      const look = async (): Promise<void> => {
        const { pending } = await locks.query()
        if (pending?.some((lock) => lock.name === name)) return listener()
        timer = setTimeout(() => void look(), lookEvery)
      }
      timer = setTimeout(() => void look(), shortest)
    },
    release() {
      clearTimeout(timer)
      release()
    },
  }
}

/** hold acquires a lock and returns a function that releases it. */
function hold(locks: LockManager, name: string, signal: AbortSignal): Promise<() => void> {
  return new Promise((granted, refused) => {
    locks.request(name, { signal }, () => new Promise<void>((release) => granted(release))).catch(refused)
  })
}

/** leastWanted returns the name of the slot that the fewest pages hold or wait for. */
async function leastWanted(locks: LockManager, prefix: string): Promise<string> {
  const { held, pending } = await locks.query()
  const wanted = new Array<number>(slots).fill(0)
  for (const { name } of [...(held ?? []), ...(pending ?? [])]) {
    const slot = name?.startsWith(prefix) ? Number(name.slice(prefix.length)) : -1
    if (wanted[slot] !== undefined) wanted[slot]++
  }
  return prefix + String(wanted.indexOf(Math.min(...wanted)))
}

function webLocks(): LockManager | undefined {
  const { document, WorkerGlobalScope, navigator } = globalThis as { document?: unknown; WorkerGlobalScope?: unknown; navigator?: Navigator }
  return document !== undefined || WorkerGlobalScope !== undefined ? navigator?.locks : undefined
}

/** isMultiplexed reports whether the browser is known to use HTTP/2 or HTTP/3 for a server. */
function isMultiplexed(origin: string): boolean {
  const entries = performance.getEntries() as PerformanceResourceTiming[]
  const last = entries.findLast((entry) => entry.nextHopProtocol && entry.name.startsWith(origin))
  return last !== undefined && /^h[23]/.test(last.nextHopProtocol)
}
