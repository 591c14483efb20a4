// A table with a heading, which is accessible for screen readers, scrolls horizontally, and has a text for when it is
// empty.

import type { ComponentChildren } from 'preact'

export interface Column<Row> {
  name: string
  /** The cell of a row. */
  of(row: Row): ComponentChildren
  kind?: 'number' | 'code'
  /** Hides the heading of columns whose cells need none. */
  quiet?: boolean
}

interface Shown<Row> {
  title: string
  hint: string
  rows: Row[]
  columns: Column<Row>[]
  keyOf(row: Row): string
}

export function Table<Row>({ title, hint, rows, columns, keyOf }: Shown<Row>) {
  const id = `${title.toLowerCase()}-title`
  return (
    <section aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        <span class="hint">{hint}</span>
      </header>
      {rows.length > 0 && (
        <div class="rows" tabIndex={0} role="group" aria-label={`${title}, scrollable`}>
          <table>
            <thead>
              <tr>{columns.map((c) => <th key={c.name} scope="col" class={c.kind}>{c.quiet ? <span class="hidden">{c.name}</span> : c.name}</th>)}</tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={keyOf(row)}>{columns.map((c) => <td key={c.name} class={c.kind}>{c.of(row)}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}
