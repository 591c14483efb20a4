// The console in a browser, in front of an upstream that generates tokens when a test says so.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { piece, startUpstream } from './upstream.mjs'
import { token } from './server.mjs'
import { hung, until } from './wait.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** tap controls an upstream's output: let(n) releases n more pieces. */
export function tap(pieces) {
  let open = 0
  let wake = () => {}
  return {
    text: pieces.join(''),
    let(n) {
      open += n
      wake()
    },
    async *script() {
      for (const [i, text] of pieces.entries()) {
        while (i >= open) await new Promise((resolve) => (wake = resolve))
        yield piece(text)
      }
      yield piece('', 'stop')
      yield 'data: [DONE]\n\n'
    },
  }
}

/**
 * startTapped starts an upstream that answers each completion from the current tap, or with nothing if there is none.
 */
export async function startTapped() {
  const state = { tap: undefined }
  const upstream = await startUpstream({ 'up-1': () => state.tap?.script() ?? tap([]).script() })
  return Object.assign(upstream, { set: (t) => (state.tap = t) })
}

/** user is a user with an own browser. Opening the playground a second time opens another tab. */
export async function user(browser, name, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const faults = []
  return {
    name,
    context,
    async open(url, hash = '') {
      const page = await context.newPage()
      page.setDefaultTimeout(hung)
      page.on('pageerror', (error) => faults.push(`${name}: ${error}`))
      page.on('console', (message) => {
        if (message.type() === 'error' && !/Failed to load resource|WebSocket connection to/.test(message.text())) faults.push(`${name}: ${message.text()}`)
      })
      await page.goto(`${url}/?token=${token(name)}${hash}`)
      return page
    },
    async close() {
      await context.close()
      assert.deepEqual(faults, [])
    },
  }
}

/** playground returns functions for what a user does and sees on a page of the playground. */
export function playground(page) {
  const text = (selector) => page.locator(selector).allTextContents()
  const p = {
    page,
    /** ready waits until the page can be used. */
    async ready() {
      await page.locator('.cm-content').waitFor()
      await p.state('connected')
      return p
    },
    state: (name) => page.locator('.bar .state', { hasText: name }).waitFor(),
    code: () => page.evaluate(() => [...document.querySelectorAll('.cm-line')].map((line) => {
      const copy = line.cloneNode(true)
      for (const extra of copy.querySelectorAll('.ghost, .caret, .cm-placeholder')) extra.remove()
      return copy.textContent
    }).join('\n')),
    async type(keys) {
      await page.locator('.cm-content').click()
      await page.keyboard.press('Control+End')
      await page.keyboard.type(keys)
    },
    ask: () => page.keyboard.press('Control+Space'),
    ghost: async () => (await text('.ghost')).join(''),
    ghostIs: (whole) => until(`the proposal ${JSON.stringify(whole)}`, async () => (await p.ghost()) === whole),
    /** record returns the kinds of the entries in the record of positions. */
    record: () => page.locator('.record tbody tr').evaluateAll((rows) => rows.map((row) => row.className)),
    /** pieces returns each piece of text with the byte at which it begins. */
    pieces: () => page.locator('.record tbody tr.chunk').evaluateAll((rows) => rows.map(({ cells }) => [Number(cells[3].textContent.replaceAll(',', '')), cells[5].textContent.replaceAll('⏎', '\n')])),
    /** ways returns the transports over which the pieces of text arrived. */
    ways: () => page.locator('.record tbody tr.chunk').evaluateAll((rows) => [...new Set(rows.map(({ cells }) => cells[1].textContent))]),
    people: async () => (await text('.people li')).map((who) => who.trim()),
    carets: () => page.locator('.caret').evaluateAll((carets) => carets.map((c) => c.dataset.name)),
    use: (transport) => page.getByLabel(transport, { exact: true }).check(),
    status: () => page.locator('.editor .status').textContent(),
  }
  return p
}

/** seamless asserts that a record has the whole text, in order, without gaps and repetitions. */
export async function seamless(p, whole) {
  assert.ok(!(await p.record()).includes('fault'), 'the record shows a fault')
  const bytes = Buffer.from(whole)
  let at = 0
  for (const [from, text] of await p.pieces()) {
    assert.equal(from, at)
    assert.equal(text, bytes.subarray(from, from + Buffer.byteLength(text)).toString())
    at += Buffer.byteLength(text)
  }
  assert.equal(at, bytes.length)
}

/** accessible asserts that axe-core finds no fault in a page. */
export async function accessible(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }))
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ')}`), [])
}
