// Reports the tests of a file to node_test.go: a line of JSON when a test has ended, one for each of its notes
// (t.diagnostic) after that, and one for its output.

import { inspect } from 'node:util'

const summary = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/

/** words formats an error for humans: the expected and the actual value, and the place in the tests. */
function words(error) {
  const cause = error?.cause ?? error
  if (!(cause instanceof Error)) return inspect(cause, { depth: 4, breakLength: 120 })
  const places = (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line) && !/node:|node_modules/.test(line))
  return [String(cause.message), ...places.slice(0, 3)].join('\n')
}

export default async function* report(source) {
  const names = [] // of the tests that have begun and not ended, by nesting
  for await (const { type, data } of source) {
    switch (type) {
      case 'test:start':
        names.length = data.nesting // those of ended tests
        names[data.nesting] = data.name
        break
      case 'test:pass':
      case 'test:fail': {
        const name = [...names.slice(0, data.nesting), data.name].join(' › ')
        const ok = type === 'test:pass'
        const seconds = data.details.duration_ms / 1000
        yield line({ name, ok, seconds, skip: skipped(data.skip), words: ok ? '' : words(data.details.error) })
        break
      }
      case 'test:diagnostic':
        if (!summary.test(data.message)) yield line({ note: data.message })
        break
      case 'test:stdout':
      case 'test:stderr':
        yield line({ said: data.message.trimEnd() })
    }
  }
}

const skipped = (skip) => (skip === undefined || skip === false ? '' : String(skip))
const line = (what) => `${JSON.stringify(what)}\n`
