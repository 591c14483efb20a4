const alike = 0.1 // how much ages may differ from their mean, as a part of it
const enough = 3 // deaths
const least = 2000 // ms; what dies younger has other reasons

/** Lifetimes finds out whether something on the way ends connections at a certain age. */
export class Lifetimes {
  #ages: number[] = []
  /** Below which age to end connections ourselves, in ms; Infinity is none. */
  limit = Infinity

  /** died takes the age, in ms, at which a connection was cut without a word of the server's. */
  died(age: number): void {
    this.#ages = [...this.#ages, age].slice(-enough)
    const mean = this.#ages.reduce((sum, a) => sum + a, 0) / this.#ages.length
    const same = this.#ages.length === enough && this.#ages.every((a) => Math.abs(a - mean) <= alike * mean)
    if (same && mean >= least) this.limit = Math.min(this.limit, mean * 0.8)
  }
}
