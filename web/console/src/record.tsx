// The record of positions: each piece of a completion as it was received, which shows how it resumes after a cut.

import { useEffect, useRef } from 'preact/hooks'
import type { Entry } from './completion'

const words: Record<Entry['kind'], string> = {
  asked: 'asked for', chunk: 'text', resumed: 'resumed', reset: 'begun anew', end: 'end', fault: 'fault',
}

/** short shortens a position for display: its log and the offset. */
const short = (position: string): string => position.replace(/^(.{4}).*\./, '$1….')

export function Record({ entries, onClear }: { entries: Entry[]; onClear(): void }) {
  const list = useRef<HTMLDivElement>(null)
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight })
  }, [entries.length])
  return (
    <section class="record" aria-labelledby="record-title">
      <header>
        <h2 id="record-title">Record of positions</h2>
        <button type="button" class="quiet" onClick={onClear} disabled={entries.length === 0}>Clear</button>
      </header>
      <div class="rows" ref={list} tabIndex={0} role="region" aria-label="Pieces of completions as they came">
        {entries.length === 0 ? (
          <p class="hint">Each piece of a completion will stand here with its position and its place in bytes. Cut the connection in the middle, or reload the page: it goes on at the exact next byte.</p>
        ) : (
          <table>
            <thead>
              <tr><th scope="col">ms</th><th scope="col">over</th><th scope="col">what</th><th scope="col">byte</th><th scope="col">position</th><th scope="col">text</th></tr>
            </thead>
            <tbody>
              {entries.map((e) => (
                <tr key={e.n} class={e.kind}>
                  <td class="number">{e.ms.toLocaleString('en')}</td>
                  <td>{e.via}</td>
                  <td>{words[e.kind]}</td>
                  <td class="number">{e.at.toLocaleString('en')}</td>
                  <td class="code"><span title={e.position}>{short(e.position)}</span></td>
                  <td class="code text">{e.text.replaceAll('\n', '⏎')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
    </section>
  )
}
