// One document on every page: Yjs updates as changes of a channel code:file:ID, ordered and resumable. To apply an update twice is to apply it
// once, so whatever is unsure is sent again.

import * as Y from 'yjs'
import type { Connection, Topic } from './connection'

/** wholeEvery is how often a whole document goes out: the server keeps a bounded history, and a newcomer begins with what is kept. */
const wholeEvery = 200

export class SharedText {
  readonly doc = new Y.Doc()
  readonly text = this.doc.getText('code')
  readonly topic: Topic
  #unsure = new Map<number, Uint8Array>()
  #sent = 0

  constructor(connection: Connection, name: string, client: string, hear: (event: string, payload: any) => void, enter: Pick<Parameters<Connection['join']>[1], 'onChannel' | 'onJoin' | 'onRefused'>) {
    this.topic = connection.join(name, {
      ...enter,
      after: '0',
      params: { client_id: client },
      onJoin: (response, again) => {
        const updates = [...this.#unsure.values()]
        this.#unsure.clear()
        if (again && response.recovered === false) updates.push(Y.encodeStateAsUpdate(this.doc)) // others may lack what is ours
        if (updates.length > 0) this.#send(Y.mergeUpdates(updates))
        enter.onJoin?.(response, again)
      },
      onEvent: (event, payload) => {
        if (event === 'code_updated' && typeof payload.bytes === 'string') Y.applyUpdate(this.doc, fromBase64(payload.bytes), this)
        else hear(event, payload)
      },
    })
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== this) this.#send(update)
    })
  }

  #send(update: Uint8Array): void {
    const n = this.#sent++
    if (n % wholeEvery === wholeEvery - 1) update = Y.encodeStateAsUpdate(this.doc)
    this.#unsure.set(n, update)
    this.topic.push('code_change', update.slice().buffer)?.receive('ok', () => this.#unsure.delete(n))
  }

  /** edit replaces a part of the text. */
  edit(from: number, remove: number, insert: string): void {
    if (remove > 0) this.text.delete(from, remove)
    if (insert) this.text.insert(from, insert)
  }

  close(): void {
    this.topic.leave()
    this.doc.destroy()
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}
