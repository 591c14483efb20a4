// Clients of event streams, each used as its manual says. open(url, bearer, on) begins to read and returns what ends
// it; on(name, data, id) is called for each event.
//
// eager marks a client with a fault of its own that no server can help: it takes a block's id for read before the block
// has ended. If it is cut there, it loses the block.

import { createRequire } from 'node:module'
import { fetchEventSource } from '@microsoft/fetch-event-source'
import polyfill from 'event-source-polyfill'
import eventsource1 from 'eventsource-1'
import eventsource2 from 'eventsource-2'
import { EventSource as EventSource3 } from 'eventsource-3'
import { EventSource as EventSource4 } from 'eventsource-4'
import launchdarkly from 'launchdarkly-eventsource'
import Reconnecting from 'reconnecting-eventsource'

const require = createRequire(import.meta.url)
const nodeMajor = Number(process.versions.node.split('.')[0])

/** The events that have positions. Who also listens to hello, which has none, gets no more from it than this. */
const names = ['news', 'chunk', 'end']

/** listen passes on an EventSource's events. launchdarkly-eventsource has an event end of its own, without data. */
function listen(source, on) {
  for (const name of names) source.addEventListener(name, (e) => e.data !== undefined && on(name, e.data, e.lastEventId))
  source.addEventListener('error', () => {}) // launchdarkly-eventsource throws what nobody listens to
  return () => source.close()
}

const bearing = (bearer) => ({ authorization: `Bearer ${bearer}` })
const withToken = (url, bearer) => `${url}${url.includes('?') ? '&' : '?'}token=${bearer}`

/** byHeaders opens an EventSource that takes headers as an option. */
const byHeaders = (Source, options) => (url, bearer, on) => listen(new Source(url, { headers: bearing(bearer), ...options }), on)

/** byFetch opens an EventSource that takes a fetch. */
const byFetch = (Source) => (url, bearer, on) =>
  listen(new Source(url, { fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...bearing(bearer) } }) }), on)

/**
 * renewed opens a new EventSource after each cut, at the position of the last event that was handed over: it makes
 * nothing of what an eager one believes to have read.
 */
const renewed = (Source) => (url, bearer, on) => {
  let [source, timer, last] = [undefined, undefined, undefined]
  function open() {
    source = new Source(url, { headers: { ...bearing(bearer), ...(last && { 'Last-Event-ID': last }) } })
    listen(source, (name, data, id) => {
      last = id
      on(name, data, id)
    })
    source.onerror = () => {
      source.close()
      clearTimeout(timer)
      timer = setTimeout(open, 20)
    }
  }
  open()
  return () => {
    clearTimeout(timer)
    source.close()
  }
}

/** microsoft opens @microsoft/fetch-event-source. */
function microsoft(url, bearer, on) {
  globalThis.document ??= { addEventListener() {}, removeEventListener() {} }
  const control = new AbortController()
  void fetchEventSource(url, {
    headers: bearing(bearer), openWhenHidden: true, signal: control.signal, fetch,
    onopen() {},
    onmessage: (m) => names.includes(m.event) && on(m.event, m.data, m.id),
    onerror() {}, // so that it goes on
  })
  return () => control.abort()
}

export const eventSources = [
  { name: 'eventsource 1', eager: true, open: byHeaders(eventsource1) },
  { name: 'eventsource 1, renewed', open: renewed(eventsource1) },
  { name: 'eventsource 2', eager: true, open: byHeaders(eventsource2) },
  { name: 'eventsource 2, renewed', open: renewed(eventsource2) },
  { name: 'eventsource 3', open: byFetch(EventSource3) },
  { name: 'eventsource 4', open: byFetch(EventSource4) },
  {
    name: 'eventsource 5',
    skip: nodeMajor < 22 && 'it needs Node.js 22',
    open: (...args) => byFetch(require('eventsource-5').EventSource)(...args),
  },
  {
    name: 'reconnecting-eventsource',
    open: (url, bearer, on) => listen(new Reconnecting(withToken(url, bearer), { eventSourceClass: EventSource4 }), on),
  },
  {
    name: 'event-source-polyfill', // it waits a second at least
    readers: 5,
    open: byHeaders(polyfill.EventSourcePolyfill),
  },
  { name: 'launchdarkly-eventsource', open: byHeaders(launchdarkly.EventSource, { initialRetryDelayMillis: 1000, jitterRatio: 0.5 }) },
  { name: '@microsoft/fetch-event-source', eager: true, open: microsoft },
]
