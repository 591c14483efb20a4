/**
 * Store stores small texts between visits: which transports work, pushes that wait to be sent, ids of handled messages.
 * Use {@link webStore}, {@link databaseStore}, {@link memoryStore}, or implement one; a Node.js program that needs
 * persistence must implement one.
 */
export interface Store {
  get(key: string): MaybePromise<string | undefined>
  set(key: string, value: string): MaybePromise<void>
  delete(key: string): MaybePromise<void>
  /** keys returns all keys with the prefix, in any order. */
  keys(prefix: string): MaybePromise<string[]>
}

/** MaybePromise is a value or a promise of one. */
export type MaybePromise<T> = T | Promise<T>

/** memoryStore stores in memory. */
export function memoryStore(): Store {
  const items = new Map<string, string>()
  return {
    get: (key) => items.get(key),
    set: (key, value) => void items.set(key, value),
    delete: (key) => void items.delete(key),
    keys: (prefix) => [...items.keys()].filter((key) => key.startsWith(prefix)),
  }
}

/** webStore stores in localStorage or sessionStorage. */
export function webStore(storage: Storage): Store {
  return {
    get: (key) => storage.getItem(key) ?? undefined,
    set: (key, value) => storage.setItem(key, value),
    delete: (key) => storage.removeItem(key),
    keys: (prefix) => Object.keys(storage).filter((key) => key.startsWith(prefix)),
  }
}

/** databaseStore stores in IndexedDB, which is also available in web workers. */
export function databaseStore(name = 'duckwire'): Store {
  let opened: Promise<IDBDatabase> | undefined
  const open = (): Promise<IDBDatabase> => {
    opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1)
      request.onupgradeneeded = () => request.result.createObjectStore(table)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error ?? new Error('IndexedDB did not open'))
    })
    return opened
  }
  const run = async <T>(mode: IDBTransactionMode, act: (table: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
    const transaction = (await open()).transaction(table, mode)
    const request = act(transaction.objectStore(table))
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB gave up'))
    })
    return request.result
  }
  return {
    get: (key) => run('readonly', (t) => t.get(key) as IDBRequest<string | undefined>),
    set: async (key, value) => {
      await run('readwrite', (t) => t.put(value, key))
    },
    delete: (key) => run('readwrite', (t) => t.delete(key)),
    keys: async (prefix) => (await run('readonly', (t) => t.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)))) as string[],
  }
}

const table = 'items'

/** defaultStore returns the best available store: localStorage, else IndexedDB, else memory. */
export function defaultStore(): Store {
  try {
    if (typeof window !== 'undefined' && typeof localStorage !== 'undefined') return webStore(localStorage)
  } catch {
    // The browser throws if the page may not store anything.
  }
  return typeof indexedDB === 'undefined' ? memoryStore() : databaseStore()
}

/** recall reads a value. If the store fails, the value is missing. */
export async function recall(store: Store, key: string): Promise<unknown> {
  try {
    const text = await store.get(key)
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** remember writes a value, or deletes it if it is undefined. It reports success. */
export async function remember(store: Store, key: string, value: unknown): Promise<boolean> {
  try {
    await (value === undefined ? store.delete(key) : store.set(key, JSON.stringify(value)))
    return true
  } catch {
    return false // the store is full, or not permitted
  }
}
