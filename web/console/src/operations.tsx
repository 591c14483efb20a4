// The page Operations: connections, streams with their costs, topics and queues, and buttons to end streams and
// connections.

import { useEffect, useRef, useState } from 'preact/hooks'
import { api, type Overview, Problem, type Stream } from './api'
import type { Plot } from './plot'
import { type Rated, Rates } from './rates'
import { type Column, Table } from './table'

const every = 2000

export function Operations() {
  const [streams, setStreams] = useState<Rated[]>([])
  const [overview, setOverview] = useState<Overview>()
  const [fault, setFault] = useState('')
  const [round, setRound] = useState(0)
  const rates = useRef(new Rates())
  const { plot, holder } = usePlot(['made', 'delivered'])

  useEffect(() => {
    const timer = setTimeout(() => setRound((n) => n + 1), every)
    let over = false
    look().then(
      ({ streams, overview }) => {
        if (over) return
        const { rated, made, delivered, first } = rates.current.look(streams)
        if (!first) plot.current?.add([made, delivered])
        setStreams(rated)
        setOverview(overview)
        setFault('')
      },
      (error) => setFault(error instanceof Problem ? error.message : 'The server does not answer; it is asked again.'),
    )
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [round])

  const act = (method: string, path: string) => void api(method, path).then(() => setRound((n) => n + 1), (error) => setFault(error.message))
  const streamColumns = [...aboutStreams, ending((s: Rated) => (unfinished(s) ? `Cancel ${s.id}` : ''), (s) => act('DELETE', `/v1/streams/${s.id}`))]
  const userColumns = [...aboutUsers, ending((u: User) => `Disconnect ${u.user}`, (u) => act('POST', `/v1/users/${encodeURIComponent(u.user)}/disconnect`))]
  const o = overview
  return (
    <main class="operations">
      {fault && <p class="fault" role="alert">{fault}</p>}
      {o && <Figures overview={o} running={streams.filter(unfinished).length} />}
      <section aria-labelledby="rate-title">
        <header><h2 id="rate-title">Tokens a second</h2></header>
        <div class="plot" ref={holder} role="img" aria-label="Tokens made and delivered a second, over the last minutes" />
      </section>
      <Table title="Streams" hint={counted(streams.length, 'stream', 'the newest')} rows={streams} columns={streamColumns} keyOf={(s) => s.id} />
      {o && (
        <>
          <Table title="Topics" hint={counted(o.topics.total, 'topic')} rows={o.topics.list} columns={aboutTopics} keyOf={(t) => t.topic} />
          <Table title="Sessions" hint={counted(o.sessions.users, 'user')} rows={o.sessions.list} columns={userColumns} keyOf={(u) => u.user} />
          <Table title="Queues" hint={counted(o.queues.messages, 'message')} rows={o.queues.list} columns={aboutQueues} keyOf={(q) => q.user} />
        </>
      )}
    </main>
  )
}

/** look requests all data of the page. Users who are not admins only see their own streams. */
async function look(): Promise<{ streams: Stream[]; overview: Overview | undefined }> {
  const overview = api<Overview>('GET', '/v1/overview').catch((error) => {
    if (error instanceof Problem && error.status === 403) return undefined
    throw error
  })
  const { streams } = await api<{ streams: Stream[] }>('GET', '/v1/streams?limit=200')
  return { streams, overview: await overview }
}

/** usePlot shows a plot when its code is loaded. */
function usePlot(names: string[]) {
  const plot = useRef<Plot | undefined>(undefined)
  const holder = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let over = false
    void import('./plot').then(({ Plot }) => {
      if (!over && holder.current) plot.current = new Plot(holder.current, names)
    })
    return () => {
      over = true
      plot.current?.close()
    }
  }, [])
  return { plot, holder }
}

function Figures({ overview: o, running }: { overview: Overview; running: number }) {
  const figures: [string, string][] = [
    ['streams running', count(running)],
    ['topics', count(o.topics.total)],
    ['people', count(o.sessions.users)],
    ['sessions', count(o.sessions.total)],
    ['messages waiting', count(o.queues.messages)],
    ['memory of logs', size(o.log_bytes)],
  ]
  return (
    <section class="figures" aria-label="Figures">
      <dl>{figures.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      <ul aria-label="Sessions by transport">
        {Object.entries(words).map(([via, name]) => <li key={via} class={o.sessions.by_transport[via] ? '' : 'none'}>{name} <b>{count(o.sessions.by_transport[via] ?? 0)}</b></li>)}
      </ul>
    </section>
  )
}

/** words are the displayed names of the transports. */
const words: Record<string, string> = {
  websocket: 'WebSocket', sse_socket: 'SSE + POST', longpoll: 'Long-poll', sse: 'event streams', ndjson: 'NDJSON', text: 'plain text', wait: 'waiting requests',
}

type User = Overview['sessions']['list'][number]
type Topic = Overview['topics']['list'][number]
type Queue = Overview['queues']['list'][number]

const count = (n: number) => n.toLocaleString('en')
const counted = (n: number, what: string, which = '') => (n === 0 ? 'none' : `${which} ${count(n)} ${what}${n === 1 ? '' : 's'}`.trim())
const size = (n: number) => (n < 1024 ? `${n} B` : n < 1 << 20 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / (1 << 20)).toFixed(1)} MiB`)
const clock = (time: string) => <time dateTime={time} title={new Date(time).toLocaleString()}>{new Date(time).toLocaleTimeString()}</time>
const unfinished = (s: Stream) => s.status === 'running' || s.status === 'queued'

/** ending is a column of buttons; a row without a name has none. */
function ending<Row>(name: (row: Row) => string, act: (row: Row) => void): Column<Row> {
  return {
    name: 'actions', quiet: true,
    of: (row) => name(row) && <button type="button" class="quiet" aria-label={name(row)} onClick={() => act(row)}>{name(row).split(' ')[0]}</button>,
  }
}

const aboutStreams: Column<Rated>[] = [
  { name: 'stream', kind: 'code', of: (s) => s.id },
  { name: 'kind', of: (s) => s.kind },
  { name: 'owner', of: (s) => s.owner },
  { name: 'state', of: (s) => <span class={`badge ${s.status}`}>{s.status}</span> },
  { name: 'tokens', kind: 'number', of: (s) => count(s.account.tokens_made) },
  { name: 'a second', kind: 'number', of: (s) => (s.rate > 0 ? s.rate.toFixed(1) : '') },
  { name: 'delivered', kind: 'number', of: (s) => count(s.account.tokens_delivered) },
  { name: 'unseen', kind: 'number', of: (s) => count(s.account.tokens_unwatched) },
  { name: 'watchers', kind: 'number', of: (s) => count(s.watchers) },
  { name: 'began', of: (s) => clock(s.timings.created) },
]

const aboutTopics: Column<Topic>[] = [
  { name: 'topic', kind: 'code', of: (t) => t.topic },
  { name: 'readers', kind: 'number', of: (t) => count(t.readers) },
  { name: 'present', kind: 'number', of: (t) => count(t.present) },
  { name: 'events', kind: 'number', of: (t) => count(t.events) },
  { name: 'size', kind: 'number', of: (t) => size(t.bytes) },
  { name: 'last used', of: (t) => clock(t.used) },
]

const aboutUsers: Column<User>[] = [
  { name: 'user', of: (u) => u.user },
  { name: 'sessions', kind: 'number', of: (u) => count(u.total) },
  { name: 'by', of: (u) => Object.entries(u.by_transport).map(([via, n]) => `${words[via] ?? via} ${n}`).join(', ') },
  { name: 'here since', of: (u) => clock(u.since) },
]

const aboutQueues: Column<Queue>[] = [
  { name: 'user', of: (q) => q.user },
  { name: 'messages', kind: 'number', of: (q) => count(q.messages) },
  { name: 'size', kind: 'number', of: (q) => size(q.bytes) },
  { name: 'oldest', of: (q) => clock(q.oldest) },
]
