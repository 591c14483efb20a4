// The package has no types.
declare module 'phoenix' {
  export const Socket: new (endpoint: string, options: object) => import('./phoenix.js').SocketLike
  export const Presence: new (channel: object) => {
    list<T>(by: (key: string, presence: { metas: object[] }) => T): T[]
    onSync(callback: () => void): void
  }
}
