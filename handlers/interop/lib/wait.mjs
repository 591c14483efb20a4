/** hung is the time in ms after which something is considered to hang. No test depends on the speed of the machine. */
export const hung = 120_000

/** sleep waits for some milliseconds. */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** within fails if a promise takes longer than the given milliseconds. */
export async function within(ms, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** until waits until a condition holds, and returns its value. */
export async function until(what, condition, ms = hung) {
  for (const end = Date.now() + ms; ; await sleep(10)) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for: ${what}`)
  }
}

/** each calls job for every item, with limited concurrency, and returns the errors. */
export async function each(items, width, job) {
  const queue = items[Symbol.iterator]()
  const errors = []
  async function worker() {
    for (const item of queue) {
      try {
        await job(item)
      } catch (error) {
        errors.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  return errors
}
