// What runs in the browser: the package, bundled, on a page and in a worker. Tests call its functions.

import * as duckwire from '../../dist/index.js'

const at = new URL(globalThis.location.href)
let client
const logs = {}

export const actions = {
  /** connect makes the client of this page. */
  connect(url, token, transports) {
    client = new duckwire.Duckwire(url, { token, user: 'ada', ...(transports && { transports }) })
  },
  join(topic) {
    const channel = client.channel(topic, { after: '0' })
    logs[topic] = { channel, heard: [] }
    channel.on('note', ({ n }) => logs[topic].heard.push(n))
    return channel.join().then(({ recovered }) => recovered)
  },
  push: (topic, n) => logs[topic].channel.push('note', { n }).then(() => true),
  pushLater(topic, n) {
    void logs[topic].channel.push('note', { n })
  },
  heard: (topic) => logs[topic].heard,
  transport: () => client.transport,
  waiting: () => client.outbox.size,
  use: (transports) => client.use(transports),
  complete: (request) => client.complete(request).text(),
  origin: () => at.origin,
}

// In a worker, calls come as messages.
if (typeof WorkerGlobalScope !== 'undefined') {
  globalThis.onmessage = async ({ data: { name, args, id } }) => {
    try {
      globalThis.postMessage({ id, value: await actions[name](...args) })
    } catch (error) {
      globalThis.postMessage({ id, error: String(error) })
    }
  }
} else {
  globalThis.page = actions
  let calls = 0
  /** work calls a function in a worker of this page. */
  globalThis.work = (worker, name, args) =>
    new Promise((resolve, reject) => {
      const id = calls++
      const answered = ({ data }) => {
        if (data.id !== id) return
        worker.removeEventListener('message', answered)
        if (data.error) reject(new Error(data.error))
        else resolve(data.value)
      }
      worker.addEventListener('message', answered)
      worker.postMessage({ name, args, id })
    })
}
