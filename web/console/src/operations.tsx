// Operations: the streams of the server, what they cost, and how to end them.

import { useEffect, useRef, useState } from 'preact/hooks'
import { api, Problem, type Stream } from './api'
import type { Plot } from './plot'

const every = 2000

interface Row extends Stream {
  rate: number // tokens a second
}

export function Operations() {
  const [rows, setRows] = useState<Row[]>([])
  const [fault, setFault] = useState('')
  const [round, setRound] = useState(0)
  const before = useRef({ at: 0, made: new Map<string, number>(), delivered: new Map<string, number>() })
  const plotted = useRef<Plot | undefined>(undefined)
  const holder = useRef<HTMLDivElement>(null)

  useEffect(() => {
    let over = false
    void import('./plot').then(({ Plot }) => {
      if (!over && holder.current) plotted.current = new Plot(holder.current, ['made', 'delivered'])
    })
    return () => {
      over = true
      plotted.current?.close()
    }
  }, [])

  useEffect(() => {
    const timer = setTimeout(() => setRound(round + 1), every)
    api<{ streams: Stream[] }>('GET', '/v1/streams?limit=200')
      .then(({ streams }) => {
        const now = performance.now()
        const b = before.current
        const seconds = b.at ? (now - b.at) / 1000 : 0
        const gained = (map: Map<string, number>, id: string, n: number) => (seconds && map.has(id) ? n - map.get(id)! : 0)
        setRows(streams.map((s) => ({ ...s, rate: seconds ? gained(b.made, s.id, s.account.tokens_made) / seconds : 0 })))
        const sum = (map: Map<string, number>, of: (s: Stream) => number) => streams.reduce((n, s) => n + gained(map, s.id, of(s)), 0)
        if (seconds) plotted.current?.add([sum(b.made, (s) => s.account.tokens_made) / seconds, sum(b.delivered, (s) => s.account.tokens_delivered) / seconds])
        before.current = { at: now, made: new Map(streams.map((s) => [s.id, s.account.tokens_made])), delivered: new Map(streams.map((s) => [s.id, s.account.tokens_delivered])) }
        setFault('')
      })
      .catch((error) => setFault(error instanceof Problem ? error.message : 'The server does not answer; it is tried again.'))
    return () => clearTimeout(timer)
  }, [round])

  const cancel = (id: string) => api('DELETE', `/v1/streams/${id}`).then(() => setRound(round + 1), (error) => setFault(error.message))
  return (
    <main class="operations">
      <section aria-labelledby="rate-title">
        <h2 id="rate-title">Tokens a second</h2>
        <div class="plot" ref={holder} role="img" aria-label="Tokens made and delivered a second, over the last minutes" />
      </section>
      <section aria-labelledby="streams-title">
        <header><h2 id="streams-title">Streams</h2><span class="hint">{rows.length === 0 ? 'none yet' : `the newest ${rows.length}`}</span></header>
        {fault && <p class="fault" role="alert">{fault}</p>}
        <div class="rows" tabIndex={0} role="region" aria-label="Streams">
          <table>
            <thead>
              <tr>
                <th scope="col">stream</th><th scope="col">kind</th><th scope="col">owner</th><th scope="col">state</th><th scope="col">tokens</th>
                <th scope="col">a second</th><th scope="col">delivered</th><th scope="col">unseen</th><th scope="col">watchers</th><th scope="col">began</th><th scope="col"><span class="hidden">actions</span></th>
              </tr>
            </thead>
            <tbody>
              {rows.map((s) => (
                <tr key={s.id}>
                  <td class="code">{s.id}</td>
                  <td>{s.kind}</td>
                  <td>{s.owner}</td>
                  <td><span class={`badge ${s.status}`}>{s.status}</span></td>
                  <td class="number">{s.account.tokens_made.toLocaleString('en')}</td>
                  <td class="number">{s.rate ? s.rate.toFixed(1) : ''}</td>
                  <td class="number">{s.account.tokens_delivered.toLocaleString('en')}</td>
                  <td class="number">{s.account.tokens_unwatched.toLocaleString('en')}</td>
                  <td class="number">{s.watchers}</td>
                  <td>{new Date(s.timings.created).toLocaleTimeString()}</td>
                  <td>{(s.status === 'running' || s.status === 'queued') && <button type="button" class="quiet" onClick={() => void cancel(s.id)}>Cancel</button>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </main>
  )
}
