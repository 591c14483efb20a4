/** Unsubscribe removes a listener. */
export type Unsubscribe = () => void

/**
 * Emitter calls listeners. An error that one throws does not affect the others: it is reported as an uncaught error, as
 * for a DOM event listener.
 */
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

/** report throws an error of the application's code as an uncaught error. */
export function report(error: unknown): void {
  setTimeout(() => {
    throw error
  })
}
