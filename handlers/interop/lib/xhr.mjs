// Provides in Node.js what the older Phoenix clients need for long-polling: a window with XMLHttpRequest. It must be
// loaded before them (--import).

import { JSDOM } from 'jsdom'

const { window } = new JSDOM('', { url: 'http://localhost/' })
globalThis.window = window
globalThis.XMLHttpRequest = window.XMLHttpRequest
