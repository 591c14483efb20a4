// A provider that synchronizes a Yjs document with code_change and code_updated on a channel code:file:ID.

import * as Y from 'yjs'
import { follow } from './phoenix.mjs'

export class Provider {
  joins = 0
  received = 0
  #own = new Set() // what was sent, in base64
  #unsure = new Map() // what was sent and has no answer yet, by number
  #sent = 0

  /**
   * client is the name of this copy of the document, which must not change with reconnections, because the server does
   * not send a client its own changes. A new copy begins with the topic's history.
   */
  constructor(socket, topic, doc, client) {
    this.channel = follow(socket, topic, {
      params: { client_id: client },
      from: '0',
      onJoin: ({ recovered }) => {
        this.joins++
        if (!recovered) throw new Error('changes were lost')
        // It is unknown whether these arrived. Applying an update twice has no effect, so all are sent again, as one.
        const again = [...this.#unsure.values()]
        this.#unsure.clear()
        if (again.length > 0) this.#send(Y.mergeUpdates(again))
      },
    })
    // Clients that asked for positions receive bytes as base64, because a binary frame cannot have a position.
    this.channel.on('code_updated', ({ bytes }) => {
      if (this.#own.has(bytes)) throw new Error('a change of our own came back')
      this.received++
      Y.applyUpdate(doc, fromBase64(bytes), this)
    })
    doc.on('update', (update, origin) => {
      if (origin !== this) this.#send(update)
    })
  }

  /** idle reports whether the server has received all changes of this copy. */
  get idle() {
    return this.channel.state === 'joined' && this.#unsure.size === 0
  }

  #send(update) {
    const n = this.#sent++
    this.#unsure.set(n, update)
    this.#own.add(toBase64(update))
    // An ArrayBuffer, and not a view of one, makes a binary frame.
    this.channel.push('code_change', update.slice().buffer).receive('ok', () => this.#unsure.delete(n))
  }
}

function toBase64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}
