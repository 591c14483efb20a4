/** Block is one event of an event stream. */
export interface Block {
  event: string
  data: string
  id: string
  /** How long the server asks clients to wait before they reconnect, in ms. */
  retry: number | undefined
}

/** Heard is an item of an event stream: a block, or a heartbeat, which is the server's clock. */
export type Heard = Block | number

/**
 * Parser parses an event stream (WHATWG HTML §9.2.6, reduced to what this server sends: lines end in LF). An id only
 * counts with its complete block.
 */
export class Parser {
  #rest = ''
  #block = emptyBlock()
  #lines = 0

  /** push parses text and returns the completed items. */
  push(text: string): Heard[] {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    const heard: Heard[] = []
    for (const line of lines) {
      const found = this.#line(line)
      if (found !== undefined) heard.push(found)
    }
    return heard
  }

  #line(line: string): Heard | undefined {
    if (line === '') return this.#end()
    const colon = line.indexOf(':')
    if (colon === 0) return /^:\d+$/.test(line) ? Number(line.slice(1)) : undefined
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    switch (name) {
      case 'data':
        this.#block.data += this.#lines++ === 0 ? value : `\n${value}`
        break
      case 'event':
      case 'id':
        this.#block[name] = value
        break
      case 'retry':
        if (/^\d+$/.test(value)) this.#block.retry = Number(value)
    }
    return undefined
  }

  #end(): Block | undefined {
    const block = this.#lines > 0 ? this.#block : undefined
    this.#block = emptyBlock()
    this.#lines = 0
    return block
  }
}

const emptyBlock = (): Block => ({ event: 'message', data: '', id: '', retry: undefined })
