// A shared document: Yjs updates as changes on a channel code:file:ID, ordered and resumable. Updates are idempotent,
// so one that may be lost is sent again.

import * as Y from 'yjs'
import type { Channel, Duckwire } from '../../client/src/index'

/**
 * wholeEvery is how often the whole document is sent. The server's history is bounded, so that new pages need it to
 * start from.
 */
const wholeEvery = 200

export class SharedText {
  readonly doc = new Y.Doc()
  readonly text = this.doc.getText('code')
  /** channel must not be joined yet. */
  readonly channel: Channel
  #unsure = new Map<number, Uint8Array>()
  #sent = 0
  #joins = 0

  constructor(duckwire: Duckwire, name: string, client: string) {
    this.channel = duckwire.channel(name, { after: '0', params: { client_id: client } })
    this.channel.on<{ bytes?: string }>('code_updated', ({ bytes }) => {
      if (typeof bytes === 'string') Y.applyUpdate(this.doc, fromBase64(bytes), this)
    })
    this.channel.onJoin(({ recovered }) => {
      const updates = [...this.#unsure.values()]
      this.#unsure.clear()
      // the others may lack local changes
      if (this.#joins++ > 0 && !recovered) updates.push(Y.encodeStateAsUpdate(this.doc))
      if (updates.length > 0) this.#send(Y.mergeUpdates(updates))
    })
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== this) this.#send(update)
    })
  }

  #send(update: Uint8Array): void {
    const n = this.#sent++
    if (n % wholeEvery === wholeEvery - 1) update = Y.encodeStateAsUpdate(this.doc)
    this.#unsure.set(n, update)
    this.channel.send('code_change', update.slice().buffer).then(
      () => this.#unsure.delete(n),
      () => {}, // it is sent again with the next join
    )
  }

  /** edit replaces a range of the text. */
  edit(from: number, remove: number, insert: string): void {
    if (remove > 0) this.text.delete(from, remove)
    if (insert) this.text.insert(from, insert)
  }

  close(): void {
    void this.channel.leave()
    this.doc.destroy()
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}
