// The official client comes without types; these are what the console uses of it.
declare module 'phoenix' {
  export interface Push {
    receive(status: string, callback: (response: any) => void): Push
  }
  export class Channel {
    topic: string
    state: string
    onMessage: (event: string, payload: any, ref: string | null) => any
    join(timeout?: number): Push
    leave(timeout?: number): Push
    on(event: string, callback: (payload: any) => void): number
    push(event: string, payload: unknown, timeout?: number): Push
    onError(callback: (reason: unknown) => void): void
    onClose(callback: () => void): void
  }
  export class Socket {
    conn: { close(code?: number, reason?: string): void } | null
    constructor(url: string, options: Record<string, unknown>)
    connect(): void
    disconnect(callback?: () => void, code?: number, reason?: string): void
    isConnected(): boolean
    channel(topic: string, params: unknown): Channel
    onOpen(callback: () => void): void
    onClose(callback: (event: any) => void): void
    onError(callback: (error: any) => void): void
  }
  export class LongPoll {}
  export class Presence {
    constructor(channel: Channel)
    onSync(callback: () => void): void
    list<T>(by: (key: string, value: { metas: any[] }) => T): T[]
  }
}

declare module '*/ssetransport.mjs' {
  export class SSETransport {}
}
