// Provides in Node.js what the older Phoenix clients need for long-polling: a window with XMLHttpRequest. It must be
// loaded before them (--import).

import { JSDOM, VirtualConsole } from 'jsdom'

const { window } = new JSDOM('', { url: 'http://localhost/', virtualConsole: new VirtualConsole() }) // which does not print failed requests
globalThis.window = window
globalThis.XMLHttpRequest = window.XMLHttpRequest
