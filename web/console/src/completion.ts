// A completion of the page: started once, read over any transport, and resumed after a reload.

import { api, type Stream } from './api'
import type { Channel } from '../../client/src/index'
import type { Connection } from './connection'

/** Entry is one line of the record of positions. */
export interface Entry {
  n: number
  ms: number // since the completion was requested
  via: string
  kind: 'asked' | 'chunk' | 'resumed' | 'reset' | 'end' | 'fault'
  position: string
  at: number // offset of the text in bytes
  text: string
}

/** Kept is an unfinished completion, as stored in the tab's session storage. */
export interface Kept {
  id: string
  from: number // its position in the document
  text: string
  position: string
  began: number
}

const key = 'duckwire.completion'

export function keptCompletion(): Kept | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? '')
  } catch {
    return undefined
  }
}

export interface Watcher {
  onText(text: string): void
  onEntry(entry: Omit<Entry, 'n'>): void
  onEnd(status: string): void
}

export class Completion {
  #channel?: Channel
  #joins = 0
  #bytes: number
  #over = false

  private constructor(
    private readonly connection: Connection,
    private readonly kept: Kept,
    private readonly watcher: Watcher,
  ) {
    this.#bytes = byteLength(kept.text)
  }

  get text(): string {
    return this.kept.text
  }

  get from(): number {
    return this.kept.from
  }

  /** start requests a completion. A newer completion with the same slot supersedes it. */
  static async start(connection: Connection, from: number, prefix: string, suffix: string, slot: string, watcher: Watcher): Promise<Completion> {
    const began = Date.now()
    const body = { prompt: prefix, suffix, max_tokens: 400, duckwire: { slot, supersede: 'stop', keep: 'finish' } }
    const { id, position } = await api<Stream>('POST', '/v1/completions', body, { prefer: 'respond-async' })
    const c = new Completion(connection, { id, from, text: '', position: '0', began }, watcher)
    c.#note('asked', position, `${id}`)
    c.#follow()
    return c
  }

  /** goOn resumes a completion of the page before its reload, at the position that was reached. */
  static goOn(connection: Connection, kept: Kept, watcher: Watcher): Completion {
    const c = new Completion(connection, kept, watcher)
    c.#note('resumed', kept.position, 'after a reload')
    c.#follow()
    return c
  }

  #follow(): void {
    this.#keep()
    const channel = this.connection.duckwire.channel(`stream:${this.kept.id}`, { after: this.kept.position })
    this.#channel = channel
    for (const event of ['chunk', 'reset', 'end']) {
      channel.on<any>(event, (payload, { position }) => this.#take(event, payload, position ?? ''))
    }
    channel.onJoin(({ recovered, position }) => {
      if (this.#joins++ > 0) this.#note(recovered ? 'resumed' : 'reset', position, recovered ? 'exactly there' : 'from the beginning')
    })
    channel.join().catch((error: { code?: string }) => this.#finish(error.code ?? 'refused'))
  }

  #take(event: string, payload: any, position: string): void {
    if (this.#over) return
    if (position) this.kept.position = position
    switch (event) {
      case 'chunk':
        // Every piece has its offset, so a missing or repeated piece would be visible.
        if (payload.at !== this.#bytes) this.#note('fault', position, `the text goes on at byte ${payload.at}, expected ${this.#bytes}`)
        this.kept.text += payload.text
        this.#note('chunk', position, payload.text)
        this.#bytes = payload.at + byteLength(payload.text)
        this.#keep()
        this.watcher.onText(this.kept.text)
        break
      case 'reset':
        this.kept.text = ''
        this.#bytes = 0
        this.#note('reset', position, payload.reason)
        break
      case 'end':
        this.#note('end', position, payload.status)
        this.#finish(payload.status)
    }
  }

  #note(kind: Entry['kind'], position: string, text: string): void {
    this.watcher.onEntry({ kind, position, text, at: this.#bytes, ms: Date.now() - this.kept.began, via: this.connection.via })
  }

  #keep(): void {
    sessionStorage.setItem(key, JSON.stringify(this.kept))
  }

  #finish(status: string): void {
    if (this.#over) return
    this.#over = true
    sessionStorage.removeItem(key)
    void this.#channel?.leave()
    this.watcher.onEnd(status)
  }

  /** cancel ends it on the server, which also aborts the upstream request. */
  async cancel(): Promise<void> {
    if (this.#over) return
    this.#finish('cancelled')
    await api('DELETE', `/v1/streams/${this.kept.id}`).catch(() => {}) // it may already have ended
  }
}

const byteLength = (text: string): number => new TextEncoder().encode(text).length
