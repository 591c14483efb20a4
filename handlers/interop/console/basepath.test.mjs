// The console and the documents below a path, behind a real nginx that passes the path on or removes it.

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { launch } from '../lib/browser.mjs'
import { playground, seamless, startTapped, tap, user } from '../lib/console.mjs'
import { startNginx, upgrades } from '../lib/nginx.mjs'
import { startServer, token } from '../lib/server.mjs'
import { until } from '../lib/wait.mjs'

let upstream, browser
const open = []
const keep = (thing) => (open.push(thing), thing)

before(async () => {
  upstream = await startTapped()
  browser = await launch()
})
afterEach(async () => {
  for (const o of open.splice(0).reverse()) await o.close()
})
after(async () => {
  await browser?.close()
  upstream?.close()
})

const ways = {
  'the setting base_path, and a proxy that passes the path on': [{ DUCKWIRE_BASE_PATH: '/duck' }, '', { base: '/duck' }],
  'X-Forwarded-Prefix of a trusted proxy that removes it': [
    { DUCKWIRE_TRUSTED_PROXIES: '127.0.0.1' },
    'proxy_set_header X-Forwarded-Prefix /duck;',
    { base: '/duck', strip: true },
  ],
}

for (const [name, [settings, header, location]] of Object.entries(ways)) {
  test(name, async () => {
    const server = keep(await startServer({ DUCKWIRE_UPSTREAM_URL: upstream.url, DUCKWIRE_UPSTREAM_MODEL: 'up-1', ...settings }))
    const nginx = keep(await startNginx(server.url.replace(/\/duck$/, ''), `proxy_set_header Host $http_host; ${upgrades} ${header}`, location))
    const person = keep(await user(browser, 'ada'))
    const page = await person.open(nginx.url, '#/playground/code:file:base.js')
    const asked = []
    page.on('request', (request) => asked.push(request.url()))
    page.on('websocket', (socket) => asked.push(socket.url()))
    const ada = playground(page)
    await ada.ready()
    const t = tap(['one', ' two', ' three'])
    upstream.set(t)
    await ada.type('x')
    await ada.ask()
    t.let(4)
    await ada.ghostIs(t.text)
    await until('the end', async () => (await ada.status()).startsWith('Complete'))
    await seamless(ada, t.text)
    await ada.use('SSE + POST')
    await ada.state('connected')

    await page.goto(`${nginx.url}/?token=${token('ada')}#/operations`)
    await page.getByRole('heading', { name: 'Streams' }).waitFor()
    await page.getByRole('link', { name: 'API' }).click()
    await page.getByText('Completions that outlive their connection').first().waitFor()
    assert.ok(asked.length > 10)
    assert.deepEqual(asked.filter((url) => !/^(data|blob):/.test(url) && !new URL(url).pathname.startsWith('/duck/')), [])

    const created = await fetch(`${nginx.url}/v1/streams`, { method: 'POST', headers: { authorization: `Bearer ${token('ada')}` }, body: '{"kind":"x"}' })
    const to = created.headers.get('location')
    assert.match(to, /^\/duck\/v1\/streams\//)
    const read = await fetch(new URL(to, nginx.url), { headers: { authorization: `Bearer ${token('ada')}` } })
    assert.equal(read.status, 200)
  })
}
