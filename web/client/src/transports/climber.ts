import { LongPoll } from 'phoenix'
import type { Ladder, Rung } from '../ladder.js'
import { closed, connecting, open, type Closed, type Transport, type TransportClass } from '../phoenix.js'
import { subprotocols, type Tokens } from '../token.js'
import { Lifetimes } from './lifetimes.js'
import { refusedCode, sseTransport } from './sse.js'
import { Way } from './way.js'

/** ClimberOptions are what a {@link climber} needs. */
export interface ClimberOptions {
  ladder: Ladder
  tokens: Tokens
  /** The rungs to use, the best one first. */
  rungs: readonly Rung[]
  /** The class of WebSockets. */
  webSocket: TransportClass | undefined
  /** For how long to wait for a rung's first sign of life, in ms. */
  patience?: Partial<Record<Rung, number>>
  /** What to do when a connection is open. */
  onRung: (rung: Rung) => void
}

const patience: Record<Rung, number> = { websocket: 4000, sse: 3000, padded: 3000, longpoll: 10_000 }
export const padding = 32_768 // bytes: more than what proxies were seen to hold back

/** Climber is the transport of a Socket that goes by a ladder, and what looks for better rungs. */
export interface Climber {
  transport: TransportClass
  /** look reports whether a rung works, by a connection of its own. */
  look: (rung: Rung) => Promise<boolean>
  /** use changes the rungs to use. The connection is left if its rung is not among them. */
  use: (rungs: readonly Rung[]) => void
  /** cut ends the connection as if the network had. */
  cut: () => void
  /** choose closes the open connection if there is a better rung for it now, so that the Socket comes back on that. */
  choose: () => void
}

/**
 * climber makes a transport class for one Socket. Each of its connections asks for a token, and then tries one rung after the other until one opens.
 * Those above it that did not open are bad from then on.
 */
export function climber(options: ClimberOptions): Climber {
  const { ladder, tokens } = options
  const possible = (rungs: readonly Rung[]): Rung[] => rungs.filter((rung) => rung !== 'websocket' || options.webSocket)
  let usable = possible(options.rungs)
  const wait = { ...patience, ...options.patience }
  const lifetimes = new Lifetimes()
  let endpoint = ''
  let current: ClimbingTransport | undefined

  const ways = {
    sse: newWay('sse', 0),
    padded: newWay('padded', padding),
  }

  function newWay(rung: Rung, pad: number): Way {
    return new Way({
      pad,
      hello: wait[rung],
      onGood: () => ladder.good(rung),
      onBad: (why) => {
        ladder.fail(rung, why)
        current?.leave(rung, why)
      },
    })
  }

  /** begin opens a connection on one rung. */
  function begin(rung: Rung, url: string, protocols: string[] | undefined): Transport {
    switch (rung) {
      case 'websocket':
        return new (options.webSocket as TransportClass)(url, protocols)
      case 'longpoll':
        return new LongPoll(url, protocols)
      default:
        return new (sseTransport(ways[rung]))(url, protocols)
    }
  }

  async function credentials(): Promise<string[] | undefined> {
    const token = await tokens.fresh()
    return token ? subprotocols(token) : undefined
  }

  class ClimbingTransport implements Transport {
    readyState = connecting
    binaryType = 'arraybuffer'
    timeout = 20_000
    onopen = (): void => {}
    onerror = (_error?: unknown): void => {}
    onmessage = (_event: { data: string | ArrayBuffer }): void => {}
    onclose = (_event: Closed): void => {}

    readonly #url: string
    readonly #given: string[] | undefined
    #inner: Transport | undefined
    #rung: Rung | undefined
    #opened = 0

    constructor(url: string, protocols?: string | string[]) {
      endpoint = url
      this.#url = url
      this.#given = protocols === undefined ? undefined : [protocols].flat()
      // eslint-disable-next-line @typescript-eslint/no-this-alias -- of all connections, the one that is open or opening
      current = this
      setTimeout(() => void this.#climb())
    }

    get bufferedAmount(): number {
      return this.#inner?.bufferedAmount ?? 0
    }

    get skipHeartbeat(): boolean {
      return this.#inner?.skipHeartbeat ?? false
    }

    send(frame: string | ArrayBuffer): void {
      this.#inner?.send(frame)
    }

    close(code?: number, reason?: string): void {
      if (this.readyState === closed) return
      this.#detach()
      this.#end({ code: code ?? 1005, reason: reason ?? '', wasClean: true })
    }

    /** leave ends the connection if it is on a rung that has turned out to be bad: the Socket comes back on another. */
    leave(rung: Rung, why: string): void {
      if (this.#rung !== rung || this.readyState !== open || ladder.best(usable) === rung) return
      this.#detach()
      this.#end({ code: 1006, reason: why, wasClean: false })
    }

    /** reconsider ends the connection if its rung is not one of those to use. */
    reconsider(): void {
      if (this.readyState === open && this.#rung && usable.includes(this.#rung)) return
      this.cut()
    }

    cut(): void {
      this.#detach()
      this.#end({ code: 1006, reason: 'cut', wasClean: false })
    }

    /** climbTo ends the connection if a better rung works now. */
    climbTo(rung: Rung): void {
      if (this.#rung && usable.indexOf(rung) < usable.indexOf(this.#rung)) this.leave(this.#rung, `${rung} works`)
    }

    async #climb(): Promise<void> {
      const suspects: [Rung, string][] = []
      try {
        await ladder.load()
        const protocols = this.#given ?? (await credentials())
        const first = usable.indexOf(ladder.best(usable))
        for (const rung of usable.slice(first).filter((r, i) => i === 0 || !ladder.isBad(r))) {
          if (this.readyState === closed) return
          const fault = await this.#try(rung, protocols)
          if (!fault) {
            void this.#accuse(suspects)
            return
          }
          if (fault.code === refusedCode) return this.#refused(fault)
          suspects.push([rung, fault.reason ?? ''])
        }
        this.#end({ code: 1006, reason: suspects.map((s) => s.join(': ')).join('; ') }, new Error('no way leads to the server'))
      } catch (error) {
        this.#end({ code: 1006, reason: String(error) }, error) // the application has no token
      }
    }

    /**
     * accuse takes that rungs did not open, and one below them did. They may only have come too early, while the server was away: those that failed at
     * once are looked at again, now that the server is there.
     */
    async #accuse(suspects: [Rung, string][]): Promise<void> {
      for (const [rung, why] of suspects) ladder.fail(rung, why)
      for (const [rung, why] of suspects) {
        if (this.readyState !== open) return
        if (why !== late && (await look(rung).catch(() => false))) return ladder.good(rung)
      }
    }

    #refused(fault: Closed): void {
      tokens.refused()
      this.#end(fault, new Error(fault.reason))
    }

    /** try opens a connection on one rung. It returns how that failed, or nothing when it is open. */
    async #try(rung: Rung, protocols: string[] | undefined): Promise<Closed | undefined> {
      const inner = begin(rung, this.#url, protocols)
      this.#inner = inner
      inner.binaryType = this.binaryType
      inner.timeout = this.timeout
      const fault = await opened(inner, wait[rung])
      if (this.#inner !== inner) {
        if (!fault) discard(inner)
        return undefined // closed meanwhile
      }
      if (fault) {
        discard(inner)
        return fault
      }
      this.#rung = rung
      this.#opened = performance.now()
      inner.onmessage = (event) => this.onmessage(event)
      inner.onerror = (error) => this.onerror(error)
      inner.onclose = (event) => this.#lost(event)
      if (rung === 'websocket') this.#examine(inner)
      this.readyState = open
      options.onRung(rung)
      this.onopen()
      return undefined
    }

    /** examine asks a WebSocket for a sign of life: there are proxies that let it open, and swallow what it carries. */
    #examine(inner: Transport): void {
      const silent = setTimeout(() => {
        ladder.fail('websocket', 'it opens, and carries nothing')
        this.leave('websocket', 'it carries nothing')
      }, wait.websocket)
      inner.onmessage = (event) => {
        clearTimeout(silent)
        if (typeof event.data === 'string' && event.data.startsWith(ours)) {
          ladder.good('websocket')
          inner.onmessage = (event) => this.onmessage(event)
        } else this.onmessage(event)
      }
      const lost = inner.onclose
      inner.onclose = (event) => {
        clearTimeout(silent)
        lost(event)
      }
      this.#stop = () => clearTimeout(silent)
      inner.send(ping)
    }
    #stop = (): void => {}

    /** lost takes that the connection was closed by the other side, or by something between. */
    #lost(event: Closed): void {
      this.#stop()
      if (this.#rung === 'websocket' && event.code === 1006) {
        lifetimes.died(performance.now() - this.#opened)
        // Where WebSockets do not live long, event streams can end before they are ended, and keep their session.
        if (lifetimes.limit < longEnough) ladder.fail('websocket', `it lives for ${Math.round(lifetimes.limit / 800)} s only`)
      }
      if (event.code === refusedCode) tokens.refused()
      this.#end(event)
    }

    #detach(): void {
      this.#stop()
      if (this.#inner) discard(this.#inner)
      this.#inner = undefined
    }

    #end(event: Closed, error?: unknown): void {
      if (this.readyState === closed) return
      this.readyState = closed
      if (current === this) current = undefined
      if (error !== undefined) this.onerror(error)
      setTimeout(() => this.onclose(event))
    }
  }

  async function look(rung: Rung): Promise<boolean> {
    if (!endpoint || !usable.includes(rung)) return false
    const protocols = await credentials()
    if (rung === 'sse' || rung === 'padded') return lookAtWay(rung, protocols)
    const transport = begin(rung, endpoint, protocols)
    const good = !(await opened(transport, wait[rung])) && (await answers(transport, wait[rung]))
    discard(transport)
    return good
  }

  /** lookAtWay follows an event stream until it is known whether it comes through as it is sent. */
  async function lookAtWay(rung: 'sse' | 'padded', protocols: string[] | undefined): Promise<boolean> {
    let judge: (good: boolean) => void = () => {}
    const verdict = new Promise<boolean>((resolve) => {
      judge = resolve
    })
    const pad = rung === 'padded' ? padding : 0
    const way = new Way({ pad, hello: wait[rung], onGood: () => judge(true), onBad: () => judge(false) })
    const transport = new (sseTransport(way))(endpoint, protocols)
    transport.onclose = () => judge(false)
    try {
      return await verdict
    } finally {
      discard(transport)
    }
  }

  return {
    transport: ClimbingTransport,
    look,
    use: (rungs) => {
      usable = possible(rungs)
      current?.reconsider()
    },
    cut: () => current?.cut(),
    choose: () => current?.climbTo(ladder.best(usable)),
  }
}

const longEnough = 60_000 // ms
const late = 'it did not open in time'
const ours = '[null,"duckwire","phoenix",' // the reply's beginning
const ping = `${ours}"heartbeat",{}]`

/** opened waits until a connection is open, and returns how it failed otherwise. */
function opened(transport: Transport, ms: number): Promise<Closed | undefined> {
  return new Promise((resolve) => {
    const settle = (fault?: Closed): void => {
      clearTimeout(timer)
      resolve(fault)
    }
    const timer = setTimeout(() => settle({ code: 1006, reason: late }), ms)
    transport.onopen = () => settle()
    transport.onerror = () => {} // a close follows
    transport.onclose = (event) => settle({ code: event.code, reason: event.reason || 'it did not open' })
  })
}

/** answers reports whether an open connection carries a heartbeat there and back. */
function answers(transport: Transport, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms)
    transport.onmessage = ({ data }) => {
      if (typeof data !== 'string' || !data.startsWith(ours)) return
      clearTimeout(timer)
      resolve(true)
    }
    transport.send(ping)
  })
}

/** discard closes a connection of which nobody wants to hear any longer. */
function discard(transport: Transport): void {
  transport.onopen = transport.onerror = transport.onmessage = transport.onclose = () => {}
  try {
    transport.close()
  } catch {
    // One that is still connecting may not know how.
  }
}
