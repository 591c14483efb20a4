// Clients of this package, and what the tests do with all of them.

import WebSocket from 'ws'
import { Duckwire, memoryStore } from '../../dist/index.js'
import { hung, within } from '../../../../handlers/interop/lib/wait.mjs'

export { cutter } from '../../../../handlers/interop/lib/cutter.mjs'
export { random, seed } from '../../../../handlers/interop/lib/random.mjs'
export { api, startServer, token } from '../../../../handlers/interop/lib/server.mjs'
export { piece, startUpstream } from '../../../../handlers/interop/lib/upstream.mjs'
export { until } from '../../../../handlers/interop/lib/wait.mjs'
export { hung, within }

/** opened is what a test has opened. */
export const opened = []

/** closeAll closes what a test has opened, the newest first. */
export async function closeAll() {
  for (const thing of opened.splice(0).reverse()) await thing.close()
}

/** client makes a client that comes back at once when it is cut: the tests have no patience. */
export function client(url, options = {}) {
  const duckwire = new Duckwire(url, {
    webSocket: WebSocket,
    store: memoryStore(),
    user: 'ada',
    ...options,
    socket: { reconnectAfterMs: () => 5, rejoinAfterMs: () => 20, ...options.socket },
  })
  opened.push(duckwire)
  return duckwire
}

/** kept opens something that closeAll closes. */
export async function kept(thing) {
  const it = await thing
  opened.push(it)
  return it
}
