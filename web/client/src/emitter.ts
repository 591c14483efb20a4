/** Unsubscribe ends what began it. */
export type Unsubscribe = () => void

/** Emitter calls listeners. What one throws harms no other: it is reported as an uncaught error, as it is of an event listener. */
export class Emitter<T extends unknown[]> {
  readonly #listeners = new Set<(...args: T) => void>()

  add(listener: (...args: T) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  emit(...args: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(...args)
      } catch (error) {
        report(error)
      }
    }
  }
}

/** report makes an uncaught error of what an application's listener has thrown. */
export function report(error: unknown): void {
  setTimeout(() => {
    throw error
  })
}
