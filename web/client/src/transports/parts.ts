const more = '+'
const last = '.'

/** partsQuery asks the server to send long messages over a WebSocket in parts. */
export const partsQuery = 'duckwire=parts'

/**
 * Parts puts together the messages that the server sends in parts. A browser shows a message only when it is complete, so
 * on a slow link a long one could not be told from a dead connection. A part begins with a character, or in binary
 * messages a byte, that says whether more parts follow; no other message begins with these.
 */
export class Parts {
  #texts: string[] = []
  #bytes: Uint8Array[] = []

  /** take returns the complete message, or undefined if the data is a part that others follow. */
  take(data: string | ArrayBuffer): string | ArrayBuffer | undefined {
    return typeof data === 'string' ? this.#takeText(data) : this.#takeBytes(new Uint8Array(data), data)
  }

  #takeText(data: string): string | undefined {
    if (!data.startsWith(more) && !data.startsWith(last)) return data
    this.#texts.push(data.slice(1))
    if (data.startsWith(more)) return undefined
    const whole = this.#texts.join('')
    this.#texts = []
    return whole
  }

  #takeBytes(part: Uint8Array, data: ArrayBuffer): ArrayBuffer | undefined {
    if (part[0] !== more.charCodeAt(0) && part[0] !== last.charCodeAt(0)) return data
    this.#bytes.push(part.subarray(1))
    if (part[0] === more.charCodeAt(0)) return undefined
    const whole = new Uint8Array(this.#bytes.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const bytes of this.#bytes) {
      whole.set(bytes, at)
      at += bytes.length
    }
    this.#bytes = []
    return whole.buffer
  }
}
