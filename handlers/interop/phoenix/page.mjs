// Runs in the pages of browser.test.mjs, which calls each function. Arguments and results are JSON.

import { Presence } from 'phoenix'
import * as Y from 'yjs'
import { answered, collect, connect, disconnect, transports } from '../lib/phoenix.mjs'
import { random } from '../lib/random.mjs'
import { Provider } from '../lib/yprovider.mjs'

let socket, channel, presence, notes, blobs, doc, provider
const errors = []
addEventListener('error', (e) => errors.push(e.message))
addEventListener('unhandledrejection', (e) => errors.push(String(e.reason)))

globalThis.page = {
  errors: () => errors,

  /** enter joins a topic with presence. */
  async enter(url, bearer, transport, topic, options = {}) {
    socket = connect(url, bearer, { transport: transports[transport], ...options })
    channel = socket.channel(topic)
    presence = new Presence(channel)
    notes = collect(channel, 'note')
    blobs = collect(channel, 'blob')
    await answered(channel.join())
  },
  push: (event, payload) => answered(channel.push(event, payload)),
  pushBytes: (event, bytes) => answered(channel.push(event, new Uint8Array(bytes).buffer)),
  notes: () => notes,
  /** blobs converts bytes to the form of this transport: binary, or base64 in JSON. */
  blobs: () => blobs.map((b) => (b instanceof ArrayBuffer ? [...new Uint8Array(b)] : b)),
  who: () => presence.list((user, { metas }) => `${user}×${metas.length}`).sort().join(),
  transport: () => Object.keys(transports).find((name) => transports[name] === socket.transport),
  leave: () => disconnect(socket),

  /** open opens a document. */
  async open(url, bearer, transport, topic, client) {
    socket = connect(url, bearer, { transport: transports[transport] })
    doc = new Y.Doc()
    provider = new Provider(socket, topic, doc, client)
  },
  /**
   * edit makes a number of random edits, with pauses, and returns their names. Each edit is an insertion or a deletion
   * in the text and the addition of its name to a list, in one transaction.
   */
  async edit(name, seed, count) {
    const pick = random(seed)
    const text = doc.getText('code')
    const names = []
    for (let n = 0; n < count; n++) {
      doc.transact(() => {
        const at = pick(text.length + 1)
        if (pick(3) > 0) text.insert(at, ['é', '日本', '🦆', 'x = 1\n', '\t'][pick(5)])
        else text.delete(at, Math.min(pick(4), text.length - at))
        doc.getArray('edits').push([`${name}-${seed}-${n}`])
      })
      names.push(`${name}-${seed}-${n}`)
      if (pick(3) === 0) await new Promise((resolve) => setTimeout(resolve, pick(8)))
    }
    return names
  },
  document: () => ({
    text: doc.getText('code').toString(),
    edits: doc.getArray('edits').toArray(),
    idle: provider.idle,
    state: provider.channel.state,
    joins: provider.joins,
    received: provider.received,
  }),
}
