// The users who are present on the page.

import { hue } from './cursors'

export interface Person {
  user: string
  sessions: number
  state: string
}

export function People({ people, me }: { people: Person[]; me: string }) {
  return (
    <ul class="people" aria-label="Who is here">
      {people.map((p) => (
        <li key={p.user} style={{ '--hue': hue(p.user) }} title={`${p.user}: ${p.state}, ${p.sessions} ${p.sessions === 1 ? 'session' : 'sessions'}`}>
          <span class={`dot ${p.state}`} aria-hidden="true" />
          {p.user}
          {p.sessions > 1 && <small> ×{p.sessions}</small>}
          {p.user === me && <small> (you)</small>}
        </li>
      ))}
    </ul>
  )
}
