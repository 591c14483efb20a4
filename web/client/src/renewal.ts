import { backoff, sleep } from './backoff.js'
import { refusal, type DuckwireError } from './errors.js'
import type { SocketMessage, SocketLike } from './phoenix.js'
import { stops, type Tokens } from './token.js'

const topic = 'phoenix' // which belongs to the socket itself
const longest = 10_000 // how long to wait for a reply, in ms

/**
 * renewTokens gets a new token from the application when the server warns that the current one expires soon, and sends
 * it on the open connection. Until the server has accepted a token that lasts longer, it tries again. onFinal is called
 * if the application's function fails for good.
 */
export function renewTokens(socket: SocketLike, tokens: Tokens, onFinal: (error: DuckwireError) => void): void {
  let renewing = false
  const listeners = new Map<string, (reply: Reply) => void>()

  async function renew(left: number): Promise<void> {
    const end = performance.now() + left + 1000 // the server rounds down to seconds, even to 0
    for (let tries = 1; socket.isConnected() && performance.now() < end; tries++) {
      try {
        const token = await tokens.fresh()
        const more = await send(token).catch(() => 0)
        if (performance.now() + more > end) return
      } catch (error) {
        if (stops(error)) return onFinal(error)
      }
      await sleep(Math.min(backoff(tries), (end - performance.now()) / 2))
    }
  }

  /** send sends a token and returns for how long it is valid, in ms. It fails if the server rejects the token. */
  function send(token: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const ref = socket.makeRef()
      const timer = setTimeout(() => listeners.get(ref)?.({ status: 'timeout' }), longest)
      listeners.set(ref, ({ status, response }) => {
        clearTimeout(timer)
        listeners.delete(ref)
        if (status !== 'ok') return reject(refusal('the new token', response))
        const { expires_in: seconds } = response as { expires_in: number | null }
        resolve(seconds === null ? Infinity : seconds * 1000)
      })
      socket.push({ topic, event: 'access_token', payload: { token }, ref })
    })
  }

  socket.onMessage((message: SocketMessage) => {
    if (message.topic !== topic) return
    if (message.event === 'phx_reply') listeners.get(message.ref ?? '')?.(message.payload as Reply)
    if (message.event !== 'token_expiring' || renewing || !tokens.renewable) return
    renewing = true
    const { expires_in: seconds } = message.payload as { expires_in: number }
    void renew(seconds * 1000).finally(() => (renewing = false))
  })
}

interface Reply {
  status: string
  response?: unknown
}
