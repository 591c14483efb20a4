import { Limit } from '../limit.js'
import { Parser, type Heard } from './parser.js'
import { takeTurn, Turned } from './turns.js'

/** Patience has the timeouts of an event stream, in ms. */
export interface Patience {
  /** Until the response begins, and then between bytes until its first block is complete. */
  hello: number
  /** Between bytes after that. */
  silence: number
  /** Called when bytes arrive, also if they complete no block. */
  onBytes?: () => void
}

/** NoHello means that a response did not begin in time. The server may have sent it and a proxy may buffer it. */
export class NoHello extends Error {}

/** Silence means that nothing was received for longer than the heartbeat interval allows. */
export class Silence extends Error {}

/** Status is a response that is not an event stream. */
export class Status extends Error {
  constructor(
    readonly response: Response,
    /** The response's body. */
    readonly text: string,
  ) {
    super(`status ${response.status}`)
  }

  /** refused reports whether the server rejected the request for good: a retry would not help. */
  get refused(): boolean {
    return [400, 401, 403, 404].includes(this.response.status)
  }
}

/**
 * eventStream sends a request and reads the response to its end. It reads patience again with each byte, so the caller
 * may change it. The request is aborted when the caller stops iterating. Errors: {@link Status}, {@link NoHello},
 * {@link Silence}, {@link Turned}, and those of fetch.
 */
export async function* eventStream(
  origin: string,
  request: (signal: AbortSignal) => Promise<Response>,
  patience: Patience,
  signal: AbortSignal,
): AsyncGenerator<Heard, void, undefined> {
  const turn = await takeTurn(origin, signal)
  const limit = new Limit(signal)
  turn.onWanted(() => limit.abort(new Turned('another page has its turn')))
  const noHello = (): Error => new NoHello('no answer began in time')
  limit.within(patience.hello, noHello)
  try {
    const response = await request(limit.signal)
    if (response.status !== 200 || !response.body || !isEventStream(response)) throw new Status(response, await response.text())
    const decoder = new TextDecoder()
    const parser = new Parser()
    let begun = false
    for await (const bytes of limit.read(response.body)) {
      const heard = parser.push(decoder.decode(bytes, { stream: true }))
      begun ||= heard.length > 0
      patience.onBytes?.()
      if (begun) limit.within(patience.silence, () => new Silence('nothing was heard any longer'))
      else limit.within(patience.hello, noHello)
      yield* heard
    }
  } catch (error) {
    throw limit.signal.aborted ? limit.signal.reason : error
  } finally {
    limit.end()
    limit.abort()
    turn.release()
  }
}

const isEventStream = (response: Response): boolean => (response.headers.get('content-type') ?? '').startsWith('text/event-stream')
