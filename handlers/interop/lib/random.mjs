// Reproducible random numbers: SEED=… in the environment repeats a failed test, as far as the network is
// deterministic.

export const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))

/** random returns a generator of integers from 0 to n-1: mulberry32, seeded. */
export function random(start = seed) {
  let state = start
  return (n) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}
