// Gives Node what the older Phoenix clients need for long-polling: a browser's window, with XMLHttpRequest. To be loaded before them (--import).

import { JSDOM } from 'jsdom'

const { window } = new JSDOM('', { url: 'http://localhost/' })
globalThis.window = window
globalThis.XMLHttpRequest = window.XMLHttpRequest
