// The recipes of the README.

import { readFileSync } from 'node:fs'
import { token } from './client.mjs'

export const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
export const recipes = [...readme.matchAll(/^## ([^\n]*)\n\n```js\n(.*?)^```$/gms)].map(([, title, code]) => ({ title, code }))

/** program returns a recipe as a program: with the names that every recipe takes as given. */
export function program(server, { title, code }) {
  const fetchToken = title === 'Tokens' ? `() => ''` : '() => token'
  return `const url = ${JSON.stringify(server.url)}, token = ${JSON.stringify(token('ada'))}, fetchToken = ${fetchToken}\n${code}`
}

/** firstRecipe matches what the first recipe must print. */
export const firstRecipe = [/progress 8 \S+ \w+$/m, /^a, b\) \{\}/m, /^ended done cmp_\w+$/m]
