// The pictures of the README: two users, a completion that resumes after a cut, and operations. They are stored if
// PICTURES names a folder (make pictures), otherwise only checked.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { launch } from '../lib/browser.mjs'
import { playground, startTapped, tap, user } from '../lib/console.mjs'
import { api, startServer, token } from '../lib/server.mjs'
import { sleep, until } from '../lib/wait.mjs'

const viewport = { width: 1180, height: 640 }
const code = `import { db } from "./db.js"

export async function listUsers(req, res) {
  const page = Number(req.query.page ?? 1)
  res.json(await db.users.page(page, 20))
}

`
const rest = ['export', ' async', ' function', ' list', 'Orders', '(req, res)', ' {\n', '  const page', ' = Number', '(req.query', '.page', ' ?? 1)\n', '  res.json', '(await', ' db.orders', '.page(page, 20))\n', '}\n']

let upstream, server, browser
const open = []
const keep = (thing) => (open.push(thing), thing)

before(async () => {
  upstream = await startTapped()
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_UPSTREAM_MODEL: 'up-1' })
  browser = await launch()
})
afterEach(async () => {
  for (const o of open.splice(0).reverse()) await o.close()
})
after(async () => {
  await browser?.close()
  await server?.close()
  upstream?.close()
})

/** take takes a picture, and checks that it does not show an empty page. */
async function take(page, name) {
  const picture = await page.screenshot({ animations: 'disabled' })
  assert.ok(picture.length > 20_000, `${name} shows next to nothing: ${picture.length} bytes`)
  if (process.env.PICTURES) writeFileSync(join(process.env.PICTURES, `${name}.png`), picture)
}

/** busy starts programs that write streams at changing speeds. */
function busy(scheme) {
  let over = false
  const work = ['ada', 'bob', 'eve'].map(async (who, i) => {
    const call = api(server, token(who))
    const { id } = await call('POST', '/v1/streams', { id: `${scheme}-${who}`, kind: 'analysis' })
    for (let n = 0; !over; n++) {
      await call('POST', `/v1/streams/${id}/append`, 'word ', 'text/plain')
      await sleep(30 + 25 * i + 25 * Math.sin(n / 40))
    }
    await call('DELETE', `/v1/streams/${id}`)
  })
  return {
    end() {
      over = true
      return Promise.all(work)
    },
  }
}

for (const colorScheme of ['light', 'dark']) {
  test(`in ${colorScheme} colours`, async () => {
    const topic = `code:file:routes-${colorScheme}.js`
    const ada = await playground(await keep(await user(browser, 'ada', { viewport, colorScheme })).open(server.url, `#/playground/${topic}`)).ready()
    const bob = await playground(await keep(await user(browser, 'bob', { viewport })).open(server.url, `#/playground/${topic}`)).ready()
    await ada.page.getByLabel('complete when I pause').uncheck()
    await ada.page.locator('.cm-content').click()
    await ada.page.keyboard.insertText(code)
    await until("ada's text", async () => (await bob.code()) === code)
    await bob.page.locator('.cm-line').nth(4).click()
    await until("bob's cursor", async () => (await ada.carets()).join() === 'bob')

    const t = tap(rest)
    upstream.set(t)
    await ada.ask()
    for (let n = 1; n <= 6; n++) {
      t.let(1)
      await ada.ghostIs(rest.slice(0, n).join(''))
    }
    await ada.page.getByRole('button', { name: 'Cut' }).click()
    await ada.state('cut')
    t.let(5)
    await ada.state('connected')
    await ada.ghostIs(rest.slice(0, 11).join(''))
    t.let(3)
    await ada.ghostIs(rest.slice(0, 14).join(''))
    await take(ada.page, `playground-${colorScheme}`)

    for (const who of ['eve', 'mallory']) await api(server, token('app'))('POST', `/v1/users/${who}/messages`, { event: 'review', payload: { text: 'done' } })
    const work = busy(colorScheme)
    const root = await keep(await user(browser, 'root', { viewport, colorScheme })).open(server.url, '#/operations')
    await root.getByRole('heading', { name: 'Queues' }).waitFor()
    t.let(2)
    await sleep(process.env.PICTURES ? 16_000 : 2_500) // so that the plot has some points
    await take(root, `operations-${colorScheme}`)
    await work.end()
  })
}
