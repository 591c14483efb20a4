import { DuckwireError } from '../errors.js'
import type { Ladder, Rung } from '../ladder.js'
import { closed, connecting, open, type Closed, type Transport, type TransportClass } from '../phoenix.js'
import { Malformed, stops, subprotocols, type Tokens } from '../token.js'
import { Heartbeat, isReply, sendHeartbeat } from './heartbeat.js'
import { Lifetimes } from './lifetimes.js'
import { Parts, partsQuery } from './parts.js'
import { LongPollTransport } from './longpoll.js'
import { refusedCode } from './session.js'
import { sseTransport } from './sse.js'
import { Way } from './way.js'

/** ClimberOptions are options of a {@link climber}. */
export interface ClimberOptions {
  ladder: Ladder
  tokens: Tokens
  /** The rungs to use, the best one first. */
  rungs: readonly Rung[]
  /** The WebSocket class; undefined: not available. */
  webSocket: TransportClass | undefined
  /** How long to wait for a rung's first response, in ms. */
  patience?: Partial<Record<Rung, number>>
  /** Interval of heartbeats on a WebSocket, in ms; 15,000 by default. */
  heartbeat?: number | undefined
  /** Called when a connection is open. */
  onRung: (rung: Rung) => void
  /** Called when the server rejected the token for good, or the application has no more tokens. */
  onRefused: (error: DuckwireError) => void
}

const patience: Record<Rung, number> = { websocket: 4000, sse: 3000, padded: 3000, longpoll: 10_000 }
export const padding = 32_768 // bytes; more than any tested proxy buffers

/** Climber has a Socket's transport class, which chooses rungs by a ladder, and functions to change the rung. */
export interface Climber {
  transport: TransportClass
  /** look checks with a separate connection whether a rung works. */
  look: (rung: Rung) => Promise<boolean>
  /** use sets the rungs to use. It ends the connection if its rung is not among them. */
  use: (rungs: readonly Rung[]) => void
  /** cut ends the connection as a network failure would. */
  cut: () => void
  /** choose ends the connection if a better rung is available, so that the Socket reconnects on that. */
  choose: () => void
}

/**
 * climber creates a transport class for one Socket. Each connection gets a token, and then tries the rungs in order
 * until one opens. The better rungs that did not open are then marked as bad.
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

  /** begin starts a connection on one rung. */
  function begin(rung: Rung, url: string, protocols: string[] | undefined): Transport {
    switch (rung) {
      case 'websocket':
        return new (options.webSocket as TransportClass)(`${url}${url.includes('?') ? '&' : '?'}${partsQuery}`, protocols?.map(webSafe))
      case 'longpoll':
        return new LongPollTransport(url, protocols)
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
    #heartbeat: Heartbeat | undefined // on a WebSocket

    constructor(url: string, protocols?: string | string[]) {
      endpoint = url
      this.#url = url
      this.#given = protocols === undefined ? undefined : [protocols].flat()
      // eslint-disable-next-line @typescript-eslint/no-this-alias -- the open or opening connection
      current = this
      setTimeout(() => void this.#climb())
    }

    get bufferedAmount(): number {
      return this.#inner?.bufferedAmount ?? 0
    }

    /** Each rung detects itself that its connection is dead. */
    readonly skipHeartbeat = true

    send(frame: string | ArrayBuffer): void {
      this.#heartbeat?.sends(frame)
      this.#inner?.send(frame)
    }

    close(code?: number, reason?: string): void {
      if (this.readyState === closed) return
      this.#detach()
      this.#end({ code: code ?? 1005, reason: reason ?? '', wasClean: true })
    }

    /**
     * leave ends the connection if it is on the given rung and another one is better: the Socket reconnects on that.
     */
    leave(rung: Rung, why: string): void {
      if (this.#rung !== rung || this.readyState !== open || ladder.best(usable) === rung) return
      this.#detach()
      this.#end({ code: 1006, reason: why, wasClean: false })
    }

    /** reconsider ends the connection unless it is open on a rung that may be used. */
    reconsider(): void {
      if (this.readyState === open && this.#rung && usable.includes(this.#rung)) return
      this.cut()
    }

    cut(): void {
      this.#detach()
      this.#end({ code: 1006, reason: 'cut', wasClean: false })
    }

    /** climbTo ends the connection if the given rung is better. */
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
        const refusal = await refusalBehind(suspects, this.#url, protocols)
        if (refusal) return this.#refused(refusal)
        this.#end({ code: 1006, reason: suspects.map((s) => s.join(': ')).join('; ') }, new Error('no way leads to the server'))
      } catch (error) {
        this.#failed(error)
      }
    }

    /**
     * accuse marks rungs as bad that did not open although a lower one did. The server may just have been unreachable
     * when they were tried: those that failed without a timeout are checked again, now that the server is reachable.
     */
    async #accuse(suspects: [Rung, string][]): Promise<void> {
      for (const [rung, why] of suspects) ladder.fail(rung, why)
      for (const [rung, why] of suspects) {
        if (this.readyState !== open) return
        if (why !== late && (await look(rung).catch(() => false))) return ladder.good(rung)
      }
    }

    /** failed is called when the application's token function failed, or returned something else. */
    #failed(error: unknown): void {
      const fault = { code: 1006, reason: String(error) }
      if (error instanceof Malformed) return this.#refused({ code: refusedCode, reason: error.message })
      this.#end(fault, error)
      if (stops(error)) options.onRefused(error)
    }

    /** refused is called when the server rejected the token. */
    #refused(fault: Closed): void {
      const error = new DuckwireError(`the server rejects the token: ${fault.reason || 'it gives no reason'}`, 'unauthorized')
      this.#end(fault, error)
      if (tokens.refused()) options.onRefused(error)
    }

    /** try opens a connection on one rung. It returns undefined if it is open, otherwise how it failed. */
    async #try(rung: Rung, protocols: string[] | undefined): Promise<Closed | undefined> {
      const inner = begin(rung, this.#url, protocols)
      this.#inner = inner
      inner.binaryType = this.binaryType
      inner.timeout = this.timeout
      const fault = await opened(inner, wait[rung])
      if (this.#inner !== inner) {
        if (!fault) discard(inner)
        return undefined // the transport was closed meanwhile
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
      tokens.accepted()
      options.onRung(rung)
      this.onopen()
      return undefined
    }

    /**
     * examine sends a heartbeat on a WebSocket: some proxies let it open but discard its messages. Then it looks at the
     * connection until the end.
     */
    #examine(inner: Transport): void {
      const silent = setTimeout(() => {
        ladder.fail('websocket', 'it opens, and carries nothing')
        this.leave('websocket', 'it carries nothing')
      }, wait.websocket)
      const heartbeat = new Heartbeat(inner, options.heartbeat ?? heartbeatInterval, () => this.cut())
      const parts = new Parts()
      inner.onmessage = ({ data }) => {
        clearTimeout(silent)
        const message = parts.take(data)
        if (heartbeat.heard(message ?? '')) ladder.good('websocket')
        else if (message !== undefined) this.onmessage({ data: message })
      }
      this.#heartbeat = heartbeat
      this.#stop = () => {
        clearTimeout(silent)
        heartbeat.stop()
      }
      sendHeartbeat(inner)
    }
    #stop = (): void => {}

    /** lost is called when the connection was closed by the server or a proxy. */
    #lost(event: Closed): void {
      this.#stop()
      if (this.#rung === 'websocket' && event.code === 1006) {
        lifetimes.died(performance.now() - this.#opened)
        // If WebSockets are cut early, event streams are better: they can end in time and keep their session.
        if (lifetimes.limit < longEnough) ladder.fail('websocket', `it lives for ${Math.round(lifetimes.limit / 800)} s only`)
      }
      if (event.code === refusedCode) tokens.forget()
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

  /**
   * refusalBehind returns how the server rejects the token if it does so, and no rung could tell: browsers do not show
   * the response to a WebSocket's request.
   */
  async function refusalBehind(
    suspects: [Rung, string][],
    url: string,
    protocols: string[] | undefined,
  ): Promise<Closed | undefined> {
    if (suspects.some(([rung, why]) => rung !== 'websocket' || why === late)) return undefined
    const transport = begin('sse', url, protocols)
    const fault = await opened(transport, wait.sse)
    discard(transport)
    return fault?.code === refusedCode ? fault : undefined
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

  /** lookAtWay reads an event stream until it is known whether it arrives as it is sent. */
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
const heartbeatInterval = 15_000 // ms

/** webSafe makes standard base64, which the official client uses, valid as a WebSocket's subprotocol. */
const webSafe = (protocol: string): string => protocol.replace(/\+/g, '-').replace(/\//g, '_')

/** opened waits until a connection is open. It returns undefined then, otherwise how it failed. */
function opened(transport: Transport, ms: number): Promise<Closed | undefined> {
  return new Promise((resolve) => {
    const settle = (fault?: Closed): void => {
      clearTimeout(timer)
      resolve(fault)
    }
    const timer = setTimeout(() => settle({ code: 1006, reason: late }), ms)
    transport.onopen = () => settle()
    transport.onerror = () => {} // onclose follows
    transport.onclose = (event) => settle({ code: event.code, reason: event.reason || 'it did not open' })
  })
}

/** answers reports whether a heartbeat on an open connection is answered. */
function answers(transport: Transport, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms)
    transport.onmessage = ({ data }) => {
      if (!isReply(data)) return
      clearTimeout(timer)
      resolve(true)
    }
    sendHeartbeat(transport)
  })
}

/** discard removes a connection's callbacks and closes it. */
function discard(transport: Transport): void {
  transport.onopen = transport.onerror = transport.onmessage = transport.onclose = () => {}
  try {
    transport.close()
  } catch {
    // A transport that is still connecting may throw.
  }
}
