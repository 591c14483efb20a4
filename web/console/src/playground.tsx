// The playground: code that several people edit, with completions as grey text, and a connection that can be cut.

import { useEffect, useRef, useState } from 'preact/hooks'
import { Cursors, People as Present } from '../../client/src/index'
import { Completion, type Entry, keptCompletion } from './completion'
import { Connection, type State, type TransportName, transports } from './connection'
import type { Editor } from './editor'
import { People, type Person } from './people'
import { Record } from './record'
import { SharedText } from './shared'
import { claims } from './token'

const pause = 700 // between the last key and the request for a completion, in ms
const cutFor = 3000
const maxEntries = 300

const newName = () => `web-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`

/** client identifies the page until its reload: after that it must receive its own edits, too. */
const client = newName()

/** tab identifies the tab across reloads. It is the slot of its completions, of which only the newest continues. */
const tab = (() => {
  const key = 'duckwire.tab'
  const name = sessionStorage.getItem(key) ?? newName()
  sessionStorage.setItem(key, name)
  return name
})()

const example = `const users = []
const orders = []

app.get("/users", (req, res) => {
  const page = Number(req.query.page ?? 1)
  res.json(users.slice((page - 1) * 20, page * 20))
})

app.get("/orders", (req, res) => {
  const page = Number(req.query.page ?? 1)
  res.json(orders.slice((page - 1) * 20, page * 20))
})

app.get("/items", `

export function Playground({ topic, onSignOut }: { topic: string; onSignOut(): void }) {
  const me = claims()?.user ?? ''
  const [entries, setEntries] = useState<Entry[]>([])
  const [people, setPeople] = useState<Person[]>([])
  const [state, setState] = useState<State>('connecting')
  const [transport, setTransport] = useState<TransportName>('Auto')
  const [status, setStatus] = useState('Loading the editor …')
  const [refusal, setRefusal] = useState('')
  const [auto, setAuto] = useState(true)
  const holder = useRef<HTMLDivElement>(null)
  const page = useRef<Page | undefined>(undefined)

  useEffect(() => {
    setRefusal('')
    const p = new Page(topic, {
      entry: (e) => setEntries((all) => [...all, { ...e, n: (all.at(-1)?.n ?? 0) + 1 }].slice(-maxEntries)),
      people: setPeople,
      state: setState,
      status: setStatus,
      refusal: setRefusal,
    })
    page.current = p
    void import('./editor').then(({ Editor }) => p.open(Editor, holder.current!))
    return () => p.close()
  }, [topic])

  const p = () => page.current
  return (
    <main class="playground">
      <div class="bar">
        <People people={people} me={me} />
        <span class="grow" />
        <fieldset class="segmented">
          <legend class="hidden">Transport</legend>
          {(Object.keys(transports) as TransportName[]).map((name) => (
            <label key={name} class={name === transport ? 'on' : ''}>
              <input type="radio" name="transport" checked={name === transport} onChange={() => { setTransport(name); p()?.use(name) }} />
              {name}
            </label>
          ))}
        </fieldset>
        <button type="button" class="danger" onClick={() => p()?.cut()} disabled={state === 'cut'}>✂ Cut for 3 s</button>
        <span class={`state ${state}`} role="status">{state}</span>
      </div>
      {refusal && (
        <p class="refusal" role="alert">
          {refusal} <button type="button" class="quiet" onClick={onSignOut}>Sign in with another token</button>
        </p>
      )}
      <div class="columns">
        <section class="editor" aria-labelledby="editor-title">
          <header>
            <h2 id="editor-title" class="code">{topic}</h2>
            <button type="button" class="quiet" onClick={() => p()?.insert(example)}>Insert an example</button>
            <label class="check"><input type="checkbox" checked={auto} onChange={(e) => { setAuto(e.currentTarget.checked); p()?.setAuto(e.currentTarget.checked) }} /> complete when I pause</label>
          </header>
          <div class="holder" ref={holder} />
          <footer>
            <span id="editor-help"><kbd>Tab</kbd> takes it, <kbd>Esc</kbd> cancels, <kbd>Ctrl</kbd> <kbd>Space</kbd> asks</span>
            <span class="grow" />
            <span class="status" role="status" aria-live="polite">{status}</span>
          </footer>
        </section>
        <Record entries={entries} onClear={() => setEntries([])} />
      </div>
    </main>
  )
}

/** Place is the position of a user's cursor. */
interface Place {
  user_id?: string
  position?: { line: number; column: number }
}

interface Shown {
  entry(e: Omit<Entry, 'n'>): void
  people(people: Person[]): void
  state(state: State): void
  status(text: string): void
  refusal(text: string): void
}

/** Page is the playground's state while it is shown. */
class Page {
  #connection: Connection
  #shared: SharedText
  #editor?: Editor
  #completion?: Completion
  #auto = true
  #timer?: number
  #present: Present<{ state?: string }>
  #cursors: Cursors<Place>
  #names = new Map<string, string>()
  #refused = false

  constructor(
    topic: string,
    private readonly shown: Shown,
  ) {
    this.#connection = new Connection(() => shown.state(this.#connection?.state ?? 'connecting'))
    this.#shared = new SharedText(this.#connection.duckwire, topic, client)
    const { channel } = this.#shared
    this.#present = new Present(channel)
    this.#present.onChange(() => this.#sync())
    this.#cursors = new Cursors(channel, { event: 'cursor_position', heard: 'cursor_update', rate: 20 })
    this.#cursors.onMove((place) => this.#hear(place))
    channel.onEnd((error) => error && this.#refuse(`You may not join this page: ${error.message}.`))
    this.#connection.duckwire.onRefused((error) => this.#refuse(`${error.message}.`))
    channel.join().catch(() => {}) // told by the listeners
  }

  /** refuse shows why nothing works. */
  #refuse(why: string): void {
    this.#refused = true
    this.shown.refusal(why[0].toUpperCase() + why.slice(1))
    this.shown.status('Not joined.')
  }

  open(Make: typeof Editor, parent: HTMLElement): void {
    if (!parent.isConnected) return // the page was left meanwhile
    this.#editor = new Make(parent, this.#shared, {
      ask: () => this.#ask(),
      dismiss: () => this.#dismiss(),
      accepted: () => {
        this.#completion = undefined
        this.shown.status('Taken.')
      },
      typed: () => this.#typed(),
      moved: (line, column) => this.#cursors.move({ position: { line, column } }),
    })
    this.shown.status(this.#refused ? 'Not joined.' : 'Ready.')
    const kept = keptCompletion()
    if (!kept) return
    // The text is restored from its topic first, since the proposal has a position in it.
    this.#completion = Completion.goOn(this.#connection, kept, this.#watcher(kept.from))
    this.shown.status('Going on with what was asked for before the reload …')
  }

  #watcher(from: number) {
    return {
      onText: (text: string) => {
        this.#editor?.showGhost(this.#completion?.from ?? from, text)
        this.shown.status(`${text.length} characters so far. Tab takes them.`)
      },
      onEntry: this.shown.entry,
      onEnd: (status: string) => this.shown.status(status !== 'done' ? `The completion ended: ${status}.` : this.#editor?.ghost ? 'Complete. Tab takes it.' : 'Nothing to propose here. The built-in completer needs a similar place above; a model needs DUCKWIRE_UPSTREAM_URL.'),
    }
  }

  #ask(): boolean {
    const editor = this.#editor
    if (!editor) return false
    this.#dismiss()
    const from = editor.head
    const text = editor.text
    this.shown.status('Asking …')
    Completion.start(this.#connection, from, text.slice(0, from), text.slice(from), `playground-${tab}`, this.#watcher(from))
      .then((c) => {
        this.#completion = c
      })
      .catch((error) => this.shown.status(`It could not be asked for: ${error.message}`))
    return true
  }

  #dismiss(): boolean {
    clearTimeout(this.#timer)
    const had = this.#completion !== undefined || Boolean(this.#editor?.ghost)
    void this.#completion?.cancel()
    this.#completion = undefined
    this.#editor?.clearGhost()
    if (had) this.shown.status('Cancelled.')
    return had
  }

  #typed(): void {
    this.#dismiss()
    if (this.#auto) this.#timer = window.setTimeout(() => this.#ask(), pause)
  }

  #hear({ client, user_id = '?', position }: Place & { client: string }): void {
    if (!position) return
    this.#names.set(client, user_id)
    this.#editor?.showCursor(client, user_id, position.line, position.column)
  }

  #sync(): void {
    const people = this.#present.list().map(({ user, metas }) => ({ user, sessions: metas.length, state: metas.at(-1)?.state ?? 'active' }))
    this.shown.people(people)
    const here = new Set(people.map((p) => p.user))
    this.#editor?.keepCursors(new Set([...this.#names].filter(([, user]) => here.has(user)).map(([c]) => c)))
  }

  use(transport: TransportName): void {
    this.#connection.use(transport)
  }

  cut(): void {
    this.#connection.cut(cutFor)
  }

  setAuto(on: boolean): void {
    this.#auto = on
  }

  insert(text: string): void {
    this.#editor?.insert(text)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#cursors.close()
    this.#editor?.close()
    this.#shared.close()
    this.#connection.close()
  }
}
