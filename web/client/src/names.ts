/** newID returns a random id that the server accepts as an idempotency id. */
export function newID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(15))
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_')
}

/** ids returns a function that returns ids that are unique: random ones, followed by a number. */
export function ids(): () => string {
  const first = newID()
  let n = 0
  return () => `${first}.${(n++).toString(36)}`
}
