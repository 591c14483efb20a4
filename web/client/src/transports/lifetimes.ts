const alike = 0.1 // maximum difference of ages from their mean, relative to it
const enough = 3 // number of cut connections
const least = 2000 // ms; connections that are cut earlier have other reasons

/** Lifetimes detects whether a proxy cuts connections at a certain age. */
export class Lifetimes {
  #ages: number[] = []
  /** The age before which the client should end connections itself, in ms; Infinity: no limit. */
  limit = Infinity

  /** died records the age, in ms, at which a connection was cut without an announcement by the server. */
  died(age: number): void {
    this.#ages = [...this.#ages, age].slice(-enough)
    const mean = this.#ages.reduce((sum, a) => sum + a, 0) / this.#ages.length
    const same = this.#ages.length === enough && this.#ages.every((a) => Math.abs(a - mean) <= alike * mean)
    if (same && mean >= least) this.limit = Math.min(this.limit, mean * 0.8)
  }
}
