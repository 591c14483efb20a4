// The clients of event streams, behind one interface: read(url, bearer, on) returns when the client has stopped by itself.
//
// on.event(name, data, id) is called for each event. A client is used as its own manual says, with what it leaves to the application.

import { fetchEventSource } from '@microsoft/fetch-event-source'
import { EventSource as NpmEventSource } from 'eventsource'

/** names are those of the events that the streams of these tests have: an EventSource must name what it listens to. */
const names = ['message', 'hello', 'reset', 'bye', 'end', 'chunk', 'note']

/** listen reads with an EventSource until it has closed itself: for it a 204 is the end. */
function listen(source, on) {
  for (const name of names) source.addEventListener(name, (e) => on.event(name, e.data, e.lastEventId))
  return new Promise((resolve) => {
    // Node's tells of its closing before it closes.
    source.addEventListener('error', () => setTimeout(() => source.readyState === source.CLOSED && resolve()))
  })
}

/** node is Node's own EventSource, from --experimental-eventsource. It cannot send headers. */
const node = {
  name: "Node's EventSource",
  read: (url, bearer, on) => listen(new globalThis.EventSource(`${url}${url.includes('?') ? '&' : '?'}token=${bearer}`), on),
}

/** npm is the package eventsource, which leaves the request to a fetch of the application's. */
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

/** microsoft is @microsoft/fetch-event-source. It retries for ever unless onerror throws, so the application tells it the end. */
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
