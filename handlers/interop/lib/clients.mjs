// Clients of event streams with a common interface: read(url, bearer, on) returns when the client has stopped by
// itself.
//
// on.event(name, data, id) is called for each event. Each client is used as its manual recommends.

import { fetchEventSource } from '@microsoft/fetch-event-source'
import { EventSource as NpmEventSource } from 'eventsource'

/** names are the event names in these tests' streams: an EventSource must register for each. */
const names = ['message', 'hello', 'reset', 'bye', 'end', 'chunk', 'note']

/** listen reads with an EventSource until that closes itself, which it does after a 204. */
function listen(source, on) {
  for (const name of names) source.addEventListener(name, (e) => on.event(name, e.data, e.lastEventId))
  return new Promise((resolve) => {
    // Node's reports the close before it closes.
    source.addEventListener('error', () => setTimeout(() => source.readyState === source.CLOSED && resolve()))
  })
}

/** node is Node's own EventSource, from --experimental-eventsource. It cannot send headers. */
const node = {
  name: "Node's EventSource",
  read: (url, bearer, on) => listen(new globalThis.EventSource(`${url}${url.includes('?') ? '&' : '?'}token=${bearer}`), on),
}

/** npm is the package eventsource, for which the application provides a fetch. */
const npm = {
  name: 'eventsource',
  read: (url, bearer, on) =>
    listen(
      new NpmEventSource(url, {
        fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${bearer}` } }),
      }),
      on,
    ),
}

class Finished extends Error {}

/**
 * microsoft is @microsoft/fetch-event-source. It retries for ever unless onerror throws, so the application ends it.
 */
const microsoft = {
  name: '@microsoft/fetch-event-source',
  async read(url, bearer, on) {
    globalThis.window ??= globalThis // it takes its timers and fetch from there
    globalThis.document ??= { addEventListener() {}, removeEventListener() {} }
    try {
      await fetchEventSource(url, {
        headers: { authorization: `Bearer ${bearer}` },
        openWhenHidden: true,
        async onopen(response) {
          if (response.status === 204) throw new Finished()
          if (response.status !== 200) throw new Error(`status ${response.status}`)
        },
        onmessage: (m) => on.event(m.event || 'message', m.data, m.id),
        onerror(error) {
          if (error instanceof Finished) throw error
        },
      })
    } catch (error) {
      if (!(error instanceof Finished)) throw error
    }
  },
}

export const clients = { node, npm, microsoft }
