// A transport for the official Phoenix client: server-sent events from the server, POSTs to it. It is for networks that
// block WebSockets, and runs wherever fetch does.
//
//   new Socket('wss://host/socket', { transport: SSETransport, params: { token } })
//
// Unlike LongPoll it survives a cut: it resumes its session, and the server repeats what did not arrive. The client
// only joins again if the session is lost.

const CONNECTING = 0
const OPEN = 1
const CLOSED = 3

const lifetime = 25_000 // for how long after the last sign of life the session may still be there, in ms: the server keeps it for 30 s
const firstSilence = 25_000 // for how long to wait for the first block
const longestWait = 2000 // between two tries to come back

/** Over is thrown if the session cannot be resumed. code is passed to the client. */
class Over extends Error {
  constructor(message, code) {
    super(message)
    this.code = code
  }
}

export class SSETransport {
  // Read by the client. The server's heartbeats replace the client's.
  readyState = CONNECTING
  skipHeartbeat = true
  // Set by the client.
  onopen = () => {}
  onerror = () => {}
  onmessage = () => {}
  onclose = () => {}

  #url
  #headers = {}
  #abort = new AbortController()
  #session
  #after = '0' // the number of the last frame that came whole
  #silence = firstSilence // what is too long without a byte
  #seen = performance.now()
  #queue = [] // lines of the next POST
  #posting = 0 // lines of the one that is under way

  constructor(url, protocols) {
    this.#url = url.replace(/^ws/, 'http').replace(/\/websocket\/?(?=\?|$)/, '/sse')
    // On WebSockets this carries the client's authToken; here there are headers.
    const token = [].concat(protocols ?? []).find((p) => p.startsWith('base64url.bearer.phx.'))
    if (token) this.#headers['x-phoenix-authtoken'] = atob(token.slice('base64url.bearer.phx.'.length))
    setTimeout(() => this.#run()) // the client sets its callbacks first
  }

  get bufferedAmount() {
    return this.#queue.length + this.#posting
  }

  send(frame) {
    if (this.readyState !== OPEN) return
    this.#queue.push(typeof frame === 'string' ? frame : base64(frame))
    if (this.#queue.length === 1 && this.#posting === 0) setTimeout(() => this.#post()) // with what else is sent in this turn
  }

  close(code = 1005, reason = '') {
    if (this.readyState === CLOSED) return
    this.readyState = CLOSED
    this.#queue = []
    this.#abort.abort()
    setTimeout(() => this.onclose({ code, reason, wasClean: true })) // behind the messages that came
  }

  #fail(error) {
    if (this.readyState === CLOSED) return
    this.onerror(error)
    this.close(error.code ?? 1006, error.message)
  }

  /** Every request has the credentials of the first one. */
  #request(more, init) {
    const url = this.#url + (this.#url.includes('?') ? '&' : '?') + new URLSearchParams(more)
    return fetch(url, { ...init, headers: { ...this.#headers, ...init.headers }, cache: 'no-store' })
  }

  /** run follows the session over as many responses as necessary. */
  async #run() {
    for (let failures = 0; this.readyState !== CLOSED; ) {
      const [begun, after] = [performance.now(), this.#after]
      try {
        await this.#follow()
        if (!this.#session) throw new Error('the response ended before it began')
      } catch (error) {
        if (error instanceof Over || !this.#session) return this.#fail(error)
      }
      const now = performance.now()
      if (now - this.#seen > lifetime) return this.#fail(new Over('the connection is lost', 1006))
      // Immediately after a cut, and with growing waits if nothing arrives.
      failures = this.#after !== after || now - begun > longestWait ? 0 : failures + 1
      if (failures > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(longestWait, 25 * 2 ** failures)))
    }
  }

  /** follow reads one response until its end. */
  async #follow() {
    const cut = new AbortController()
    const closed = () => cut.abort()
    this.#abort.signal.addEventListener('abort', closed)
    let watchdog
    const alive = () => {
      clearTimeout(watchdog)
      watchdog = setTimeout(closed, this.#silence)
    }
    try {
      alive()
      const resume = this.#session ? { session: this.#session, after: this.#after } : {}
      const response = await this.#request(resume, { signal: cut.signal, headers: { accept: 'text/event-stream' } })
      if (!response.ok) {
        const refused = response.status < 500 && response.status !== 429
        throw refused ? new Over(`refused with status ${response.status}`, 1008) : new Error(`status ${response.status}`)
      }
      const decoder = new TextDecoder()
      const blocks = new Blocks()
      for (const reader = response.body.getReader(); ; ) {
        const { done, value } = await reader.read()
        if (done) return
        alive()
        this.#seen = performance.now()
        for (const block of blocks.push(decoder.decode(value, { stream: true }))) this.#take(block)
      }
    } finally {
      clearTimeout(watchdog)
      this.#abort.signal.removeEventListener('abort', closed)
      cut.abort()
    }
  }

  #take({ event, data, id }) {
    if (this.readyState === CLOSED) return
    switch (event) {
      case 'message':
        this.#after = id
        setTimeout(() => this.onmessage({ data })) // a task of its own, as a WebSocket does it: what one throws harms no other
        return
      case 'hello': {
        const hello = JSON.parse(data)
        if (this.#session && hello.recovered === false) throw new Over('the session has lost messages', 1011)
        this.#session = hello.session
        if (hello.hb > 0) this.#silence = 2500 * hello.hb
        if (this.readyState === CONNECTING) {
          this.readyState = OPEN
          this.onopen()
        }
        return
      }
      case 'bye': {
        const { reason } = JSON.parse(data)
        if (reason === 'max') return // this response is long enough: the session goes on in the next
        throw new Over(`the server says goodbye: ${reason}`, { drain: 1012, unauthorized: 4001 }[reason] ?? 1011)
      }
    }
  }

  /** post sends the queued lines, one request at a time, to preserve their order. */
  async #post() {
    while (this.#queue.length > 0) {
      const lines = this.#queue
      this.#queue = []
      this.#posting = lines.length
      try {
        const response = await this.#request(
          { session: this.#session },
          { method: 'POST', signal: this.#abort.signal, headers: { 'content-type': 'application/x-ndjson' }, body: lines.join('\n') },
        )
        const { status } = await response.json()
        if (status !== 200) throw new Error(`status ${status}`)
      } catch (error) {
        // It is unknown whether the POST arrived. Repeating it might send it twice, going on would leave a gap. So the
        // client is told.
        return this.#fail(new Over(`what was sent may be lost: ${error.message}`, 1006))
      } finally {
        this.#posting = 0
      }
    }
  }
}

/**
 * Blocks parses an event stream. It supports less than WHATWG HTML §9.2.6: the server ends lines with LF, and writes
 * "name: value".
 */
class Blocks {
  #rest = ''

  /** push returns the blocks that are complete now. */
  push(text) {
    const whole = (this.#rest + text).split('\n\n')
    this.#rest = whole.pop()
    return whole.map(parseBlock)
  }
}

function parseBlock(text) {
  const block = { event: 'message', data: '', id: '' }
  for (const line of text.split('\n')) {
    const colon = line.indexOf(': ')
    const name = line.slice(0, colon)
    if (Object.hasOwn(block, name)) block[name] = line.slice(colon + 2) // no comment has a name; a frame is one line of data
  }
  return block
}

function base64(buffer) {
  let bytes = ''
  for (const byte of new Uint8Array(buffer)) bytes += String.fromCharCode(byte)
  return btoa(bytes)
}
