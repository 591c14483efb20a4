const slots = 4 // of the six connections that a browser has to one server over HTTP/1.1, for all its pages; requests need the others
const shortest = 2000 // for how long a turn lasts at least, in ms
const lookEvery = 500 // ms

/** Turned means that an answer was ended by us, because another page waits for its turn. */
export class Turned extends Error {}

/** Turn is the right to one long answer. */
export interface Turn {
  /** onWanted calls back once another page wants the turn, and this one has had its time. */
  onWanted(listener: () => void): void
  /** release ends the turn. */
  release(): void
}

const free: Turn = { onWanted() {}, release() {} }

/**
 * takeTurn waits until this page may have a long answer from a server. Over HTTP/1.1 a browser opens six connections to a server, for all its pages:
 * six long answers would leave none for anything else. So the pages of one browser have four of them together, and take turns where there are more
 * pages. Over HTTP/2, outside of browsers, and where there are no Web Locks (they need a secure context), there is nothing to wait for.
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

/** hold takes a lock, and returns what lets it go. */
function hold(locks: LockManager, name: string, signal: AbortSignal): Promise<() => void> {
  return new Promise((granted, refused) => {
    locks.request(name, { signal }, () => new Promise<void>((release) => granted(release))).catch(refused)
  })
}

/** leastWanted returns the name of the slot that fewest pages have or wait for. */
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

/** isMultiplexed reports whether the browser is known to share one connection to a server among all requests. */
function isMultiplexed(origin: string): boolean {
  const entries = performance.getEntries() as PerformanceResourceTiming[]
  const last = entries.findLast((entry) => entry.nextHopProtocol && entry.name.startsWith(origin))
  return last !== undefined && /^h[23]/.test(last.nextHopProtocol)
}
