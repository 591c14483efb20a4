// The console's playground in a real browser: what a user sees when connections are cut.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { launch } from '../lib/browser.mjs'
import { accessible, playground, seamless, startTapped, tap, user } from '../lib/console.mjs'
import { cutter } from '../lib/cutter.mjs'
import { startNginx } from '../lib/nginx.mjs'
import { startServer, token } from '../lib/server.mjs'
import { hung, until } from '../lib/wait.mjs'

const transports = ['WebSocket', 'SSE + POST', 'Long-poll']
const pieces = ['(req', ', res)', ' => {\n', '  const größe = ', '"日本"', '\n  return', ' größe', '\n}', ' // 🦆', '\n']

let upstream, server, browser
const open = []
const keep = (thing) => (open.push(thing), thing)

before(async () => {
  upstream = await startTapped()
  server = await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_UPSTREAM_MODEL: 'up-1', DUCKWIRE_CONNECTIONS_PER_USER: '1000', DUCKWIRE_PRESENCE_GRACE: '1s' })
  browser = await launch()
})
afterEach(async () => {
  upstream.set(undefined)
  for (const o of open.splice(0).reverse()) await o.close()
})
after(async () => {
  await browser?.close()
  await server?.close()
  upstream?.close()
})

/** enter opens the playground for a user who only gets completions on request: all users share one tap. */
async function enter(name, topic, { url = server.url, ...options } = {}) {
  const person = keep(await user(browser, name, options))
  const p = await playground(await person.open(url, `#/playground/${topic}`)).ready()
  await p.page.getByLabel('complete when I pause').uncheck()
  return p
}

/** asked types a beginning and requests the rest. */
async function asked(p, t) {
  upstream.set(t)
  await p.type('const f = ')
  await p.ask()
}

test('two people edit one page, and see each other', async () => {
  const [ada, bob] = [await enter('ada', 'code:file:two.js'), await enter('bob', 'code:file:two.js')]
  for (const p of [ada, bob]) await until('both', async () => (await p.people()).map((who) => who.split(' ')[0]).join() === 'ada,bob')
  await ada.type('let a = 1\n')
  await until("ada's text", async () => (await bob.code()) === 'let a = 1\n')
  await bob.type('let b = 2\n')
  await until("bob's text", async () => (await ada.code()) === 'let a = 1\nlet b = 2\n')
  await until("bob's cursor", async () => (await ada.carets()).join() === 'bob')
  await bob.page.close()
  await until('bob is gone', async () => (await ada.people()).length === 1 && (await ada.carets()).length === 0)
})

for (const transport of transports) {
  describe(transport, () => {
    test('a completion goes on at the next byte after a cut of the network, and Tab takes it', async () => {
      const proxy = keep(await cutter(server.url, Infinity))
      const topic = `code:file:cut-${transports.indexOf(transport)}.js`
      const [ada, bob] = [await enter('ada', topic, { url: proxy.url }), await enter('bob', topic)]
      await ada.use(transport)
      await ada.state('connected')
      const t = tap(pieces)
      await asked(ada, t)
      for (let n = 1; n <= pieces.length; n++) {
        t.let(1)
        await ada.ghostIs(pieces.slice(0, n).join(''))
        if (n % 3 === 1) proxy.cut()
      }
      await until('the end', async () => (await ada.record()).at(-1) === 'end')
      await seamless(ada, t.text)
      assert.ok((await ada.record()).includes('resumed') || transport !== 'WebSocket', 'a WebSocket that was cut joins again')
      await ada.page.keyboard.press('Tab')
      for (const p of [ada, bob]) await until('the code', async () => (await p.code()) === `const f = ${t.text}`)
      assert.equal(await ada.ghost(), '')
    })
  })
}

describe('behind a real proxy that lets no connection be upgraded', () => {
  // What it does to streams besides, and the ways that are left.
  for (const [what, more, ways] of [
    ['nginx, default', '', ['SSE + POST']],
    ['nginx, hostile buffering', 'proxy_ignore_headers X-Accel-Buffering; proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;', ['padded SSE', 'Long-poll']],
  ]) {
    test(what, async () => {
      const proxy = keep(await startNginx(server.url, more))
      const topic = `code:file:${ways.length}.js`
      const [ada, bob] = [await enter('ada', topic, { url: proxy.url }), await enter('bob', topic, { url: proxy.url })]
      for (const p of [ada, bob]) await until('both', async () => (await p.people()).map((who) => who.split(' ')[0]).join() === 'ada,bob')
      await bob.type('// hello\n')
      await until("bob's text", async () => (await ada.code()) === '// hello\n')
      const t = tap(pieces)
      await asked(ada, t)
      for (let n = 1; n <= pieces.length; n++) {
        t.let(1)
        await ada.ghostIs(pieces.slice(0, n).join(''))
      }
      await until('the end', async () => (await ada.record()).at(-1) === 'end')
      await seamless(ada, t.text)
      for (const way of await ada.ways()) assert.ok(ways.includes(way), way)
      await ada.page.keyboard.press('Tab')
      await until('the code', async () => (await bob.code()) === `// hello\nconst f = ${t.text}`)
    })
  }
})

test('the button cuts, what is made meanwhile comes afterwards, and the transport can be changed in the middle', async () => {
  const ada = await enter('ada', 'code:file:button.js')
  const t = tap(pieces)
  await asked(ada, t)
  t.let(3)
  await ada.ghostIs(pieces.slice(0, 3).join(''))
  await ada.page.getByRole('button', { name: 'Cut' }).click()
  await ada.state('cut')
  t.let(3)
  await ada.state('connected')
  await ada.ghostIs(pieces.slice(0, 6).join(''))
  for (const [i, transport] of [...transports.slice(1), transports[0]].entries()) {
    await ada.use(transport)
    await ada.state('connected')
    t.let(1)
    await ada.ghostIs(pieces.slice(0, 7 + i).join('')) // by then it has resumed
  }
  t.let(1)
  await until('the end', async () => (await ada.record()).at(-1) === 'end')
  await seamless(ada, t.text)
  assert.equal((await ada.record()).filter((kind) => kind === 'resumed').length, 4)
})

test('a reload in mid-completion loses nothing', async () => {
  const ada = await enter('ada', 'code:file:reload.js')
  const t = tap(pieces)
  await asked(ada, t)
  t.let(4)
  await ada.ghostIs(pieces.slice(0, 4).join(''))
  const before = upstream.requests.length
  await ada.page.reload()
  await ada.ready()
  t.let(6)
  await ada.ghostIs(t.text)
  assert.equal(upstream.requests.length, before, 'the upstream was asked once')
  await until('the code', async () => (await ada.code()) === 'const f = ')
  assert.equal((await ada.record())[0], 'resumed')
  assert.equal((await ada.pieces())[0][0], Buffer.byteLength(pieces.slice(0, 4).join('')))
  await ada.page.locator('.cm-content').click()
  await ada.page.keyboard.press('Tab')
  await until('the code', async () => (await ada.code()) === `const f = ${t.text}`)
})

test('Escape cancels, up to the upstream', async () => {
  const ada = await enter('ada', 'code:file:escape.js')
  const t = tap(pieces)
  await asked(ada, t)
  t.let(2)
  await ada.ghostIs(pieces.slice(0, 2).join(''))
  const request = upstream.requests.at(-1)
  await ada.page.keyboard.press('Escape')
  await until('the upstream is let go', () => request.aborted)
  assert.equal(await ada.ghost(), '')
  assert.match(await ada.status(), /Cancelled/)
})

test('a page that was frozen has everything when it wakes', async () => {
  const topic = 'code:file:sleep.js'
  const [ada, bob] = [await enter('ada', topic), await enter('bob', topic)]
  const t = tap(pieces)
  await asked(ada, t)
  t.let(2)
  await ada.ghostIs(pieces.slice(0, 2).join(''))
  const devtools = await ada.page.context().newCDPSession(ada.page)
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
  t.let(8)
  await bob.type('\n// while you slept')
  await until('the end at the server', async () => upstream.requests.at(-1) !== undefined && (await bob.code()).includes('slept'))
  await devtools.send('Page.setWebLifecycleState', { state: 'active' })
  await until('the end', async () => (await ada.record()).at(-1) === 'end')
  await seamless(ada, t.text)
  await until("bob's text", async () => (await ada.code()).includes('// while you slept'))
})

test('six tabs of one browser, all of them on SSE over HTTP/1.1', async () => {
  const ada = keep(await user(browser, 'ada'))
  const tabs = []
  for (let n = 0; n < 6; n++) {
    const tab = await playground(await ada.open(server.url, '#/playground/code:file:tabs.js')).ready()
    await tab.use('SSE + POST')
    tabs.push(tab)
  }
  for (const [n, tab] of tabs.entries()) {
    await tab.page.bringToFront()
    await tab.type(`${n}`.repeat(5)) // those before may not have come: their order is not known, and what is typed at once may be mixed
  }
  const whole = [...'012345'].map((n) => n.repeat(5)).join('')
  const codes = () => Promise.all(tabs.map((tab) => tab.code()))
  const agree = (all) => all.every((code) => code === all[0] && [...code.trim()].sort().join('') === whole)
  await until('one text in all tabs', async () => agree(await codes())).catch(async (error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await codes())}`)
  })
})

test('axe-core has nothing to say, in light and dark, also on a phone', async () => {
  for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }]) {
    const ada = await enter('ada', 'code:file:axe.js', options)
    const t = tap(pieces)
    await asked(ada, t)
    t.let(5)
    await ada.ghostIs(pieces.slice(0, 5).join(''))
    await accessible(ada.page)
    const wide = await ada.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    assert.equal(wide, 0, 'the page is wider than its window')
    await ada.page.goto(`${server.url}/#/operations`)
    await ada.page.getByRole('heading', { name: 'Streams' }).waitFor()
    await accessible(ada.page)
  }
})

test('whoever has no token is asked for one', async () => {
  const person = keep(await user(browser, 'ada'))
  const page = await person.context.newPage()
  await page.goto(server.url)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await accessible(page)
})

describe('a token that is no good is told, and nothing is tried any more', () => {
  /** comes opens the playground with a token, and returns its page and what is told. */
  async function comes(bearer, topic = 'code:file:refused.js') {
    const person = keep(await user(browser, 'ada'))
    const page = await person.context.newPage()
    page.setDefaultTimeout(hung)
    await page.goto(`${server.url}/?token=${encodeURIComponent(bearer)}#/playground/${topic}`)
    const told = await page.getByRole('alert').textContent()
    return { page, told, state: await page.locator('.bar .state').textContent() }
  }

  for (const bearer of ['garbage', 'zwölf', 'a.b.c']) {
    test(`a token that is none: ${bearer}`, async () => {
      const { page, told, state } = await comes(bearer)
      assert.match(told, /^The server rejects the token: ./)
      assert.equal(state, 'refused')
      await accessible(page)
      await page.getByRole('button', { name: 'Sign in with another token' }).click()
      await page.getByLabel('Token').fill(token('ada'))
      await page.getByRole('button', { name: 'Go on' }).click()
      await playground(page).state('connected')
    })
  }

  test('a page that one may not join', async () => {
    const { page, told } = await comes(token('ada', ['code:file:other.js=*']))
    assert.match(told, /^You may not join this page: ./)
    await page.locator('.cm-content').waitFor()
    assert.equal(await playground(page).status(), 'Not joined.')
  })
})
