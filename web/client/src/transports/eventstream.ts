import { Parser, type Heard } from './parser.js'
import { takeTurn, Turned } from './turns.js'

/** Patience is for how long to wait for an event stream, in ms. */
export interface Patience {
  /** Until its first block has come, headers included. */
  hello: number
  /** Without a byte, afterwards. */
  silence: number
}

/** NoHello means that an answer did not begin in time, though its server may have sent it: something on the way may hold it back. */
export class NoHello extends Error {}

/** Silence means that an answer which had begun fell silent for longer than its heartbeats allow. */
export class Silence extends Error {}

/** Status is an answer that is no event stream. */
export class Status extends Error {
  constructor(
    readonly response: Response,
    /** What it says. */
    readonly text: string,
  ) {
    super(`status ${response.status}`)
  }

  /** refused reports whether it is the server's last word on a request: it does not heal by waiting. */
  get refused(): boolean {
    return [400, 401, 403, 404].includes(this.response.status)
  }
}

/**
 * eventStream makes a request to a server and reads its answer to the end. It looks at patience anew with each byte, so the caller may change it. The
 * request is given up when the caller stops to iterate. Errors: {@link Status}, {@link NoHello}, {@link Silence}, {@link Turned}, and those of fetch.
 */
export async function* eventStream(
  origin: string,
  request: (signal: AbortSignal) => Promise<Response>,
  patience: Patience,
  signal: AbortSignal,
): AsyncGenerator<Heard, void, undefined> {
  const turn = await takeTurn(origin, signal)
  const cut = new AbortController()
  turn.onWanted(() => cut.abort(new Turned('another page has its turn')))
  const closed = (): void => cut.abort(signal.reason)
  signal.addEventListener('abort', closed)
  if (signal.aborted) closed()
  let timer = setTimeout(() => cut.abort(new NoHello('no answer began in time')), patience.hello)
  try {
    const response = await request(cut.signal)
    if (response.status !== 200 || !response.body || !isEventStream(response)) throw new Status(response, await response.text())
    const decoder = new TextDecoder()
    const parser = new Parser()
    let begun = false
    const reader = response.body.getReader()
    // Node's fetch forgets the signal of an answer once it has collected the request as garbage: then only this ends a read.
    cut.signal.addEventListener('abort', () => void reader.cancel(cut.signal.reason).catch(() => {}))
    for (;;) {
      const { done, value } = await reader.read()
      cut.signal.throwIfAborted()
      if (done) return
      const heard = parser.push(decoder.decode(value, { stream: true }))
      begun ||= heard.length > 0
      if (begun) {
        clearTimeout(timer)
        timer = setTimeout(() => cut.abort(new Silence('nothing was heard any longer')), patience.silence)
      }
      yield* heard
    }
  } catch (error) {
    throw cut.signal.aborted ? cut.signal.reason : error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', closed)
    cut.abort()
    turn.release()
  }
}

const isEventStream = (response: Response): boolean => (response.headers.get('content-type') ?? '').startsWith('text/event-stream')
