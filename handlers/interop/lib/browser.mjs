// Chromium, driven by Playwright. CHROMIUM is its path, which interop_test.go finds.

import { createServer } from 'node:http'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'

/** launch starts the browser. */
export function launch() {
  if (!process.env.CHROMIUM) throw new Error('these tests need Chromium: make needs installs it, or CHROMIUM=... names one')
  return chromium.launch({ executablePath: process.env.CHROMIUM })
}

/**
 * servePage bundles a script and serves a page that contains only it. Its url has its own origin, which the server
 * under test must allow.
 */
export async function servePage(script) {
  const { outputFiles } = await build({
    entryPoints: [script],
    bundle: true,
    format: 'esm',
    write: false,
    define: { 'process.env.SEED': '"0"' }, // pages are told theirs
    alias: { ws: new URL('browserws.mjs', import.meta.url).pathname },
  })
  const files = { '/': ['text/html', '<!doctype html><title>Duckwire</title><script type="module" src="page.js"></script>'] }
  files['/page.js'] = ['text/javascript', outputFiles[0].text]
  const server = createServer((req, res) => {
    const [type, body] = files[req.url] ?? ['text/plain', '']
    res.writeHead(body ? 200 : 404, { 'content-type': `${type}; charset=utf-8` }).end(body)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}
