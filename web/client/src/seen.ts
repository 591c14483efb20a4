import { isBehind } from './channel.js'
import { recall, remember, type Store } from './store.js'

/** Delivery is what makes a message unique. An id alone does not: senders choose it, and may use it again. */
export interface Delivery {
  sender: string
  id: string
  position: string
}

const mostAcknowledged = 250 // messages, for other tabs that have received them but look at them later
const most = 10_000 // messages; a server's queue is smaller unless its limit was raised

/**
 * Seen remembers which messages were handled, over reloads and in all tabs with the same store: all that may be
 * delivered again, and the last ones that were acknowledged. Only one caller may use it at a time.
 */
export class Seen {
  readonly #store: Store
  readonly #key: string
  #unsaved: Delivery[] = [] // if the store failed

  constructor(store: Store, key: string) {
    this.#store = store
    this.#key = key
  }

  /** has reports whether a message was handled. */
  async has(message: Delivery): Promise<boolean> {
    return (await this.#load()).some((one) => isSame(one, message))
  }

  /** add remembers a handled message. acknowledged is the position up to which the server delivers nothing again. */
  async add({ sender, id, position }: Delivery, acknowledged = ''): Promise<void> {
    const all = [...(await this.#load()), { sender, id, position }]
    // If the queue began anew, its old positions do not return.
    const isOver = (one: Delivery): boolean => isBehind(one.position, acknowledged) || !isOneLog(one.position, position)
    let surplus = all.filter(isOver).length - mostAcknowledged
    const kept = all.filter((one) => !isOver(one) || surplus-- <= 0).slice(-most)
    this.#unsaved = (await remember(this.#store, this.#key, kept)) ? [] : kept
  }

  async #load(): Promise<Delivery[]> {
    const value = await recall(this.#store, this.#key)
    const saved = Array.isArray(value) ? value.filter(isDelivery) : []
    return [...saved, ...this.#unsaved.filter((one) => !saved.some((other) => isSame(one, other)))]
  }
}

function isDelivery(value: unknown): value is Delivery {
  const { sender, id, position } = (value ?? {}) as Partial<Delivery>
  return [sender, id, position].every((part) => typeof part === 'string')
}

function isSame(a: Delivery, b: Delivery): boolean {
  return a.position === b.position && a.sender === b.sender && a.id === b.id
}

/** isOneLog reports whether two positions are of the same epoch of the same log. */
function isOneLog(a: string, b: string): boolean {
  return isBehind(a, b) || isBehind(b, a)
}
