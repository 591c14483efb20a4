// The editor: CodeMirror on a shared text. It is loaded on demand.

import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { javascript } from '@codemirror/lang-javascript'
import { bracketMatching, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { Annotation, EditorState } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from '@codemirror/view'
import { classHighlighter } from '@lezer/highlight'
import type { YTextEvent } from 'yjs'
import { cursorField, dropCursor, setCursor } from './cursors'
import { ghostOf, ghostText, setGhost } from './ghost'
import type { SharedText } from './shared'

const fromOthers = Annotation.define<boolean>()

export interface EditorActions {
  ask(): boolean
  dismiss(): boolean
  accepted(): void
  /** typed is called after a local edit other than accepting a proposal. */
  typed(): void
  moved(line: number, column: number): void
}

export class Editor {
  readonly view: EditorView

  constructor(
    parent: HTMLElement,
    private readonly shared: SharedText,
    actions: EditorActions,
  ) {
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: shared.text.toString(),
        extensions: [
          ghostText(actions),
          cursorField,
          lineNumbers(),
          history(),
          drawSelection(),
          indentOnInput(),
          bracketMatching(),
          highlightActiveLine(),
          syntaxHighlighting(classHighlighter),
          javascript(),
          keymap.of([...defaultKeymap, ...historyKeymap]),
          placeholder('Type here. When you pause, a completion comes in grey.'),
          EditorView.contentAttributes.of({ tabindex: '0', 'aria-label': 'Shared code', 'aria-describedby': 'editor-help' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged && !update.transactions.some((tr) => tr.annotation(fromOthers))) {
              shared.doc.transact(() => {
                let shift = 0
                update.changes.iterChanges((from, to, _fromB, _toB, insert) => {
                  shared.edit(from + shift, to - from, insert.toString())
                  shift += insert.length - (to - from)
                })
              }, this)
              if (!update.transactions.some((tr) => tr.isUserEvent('input.complete'))) actions.typed()
            }
            if (update.selectionSet || update.docChanged) {
              const head = update.state.selection.main.head
              const line = update.state.doc.lineAt(head)
              actions.moved(line.number, head - line.from)
            }
          }),
        ],
      }),
    })
    shared.text.observe(this.#hear)
  }

  #hear = (event: YTextEvent): void => {
    if (event.transaction.origin === this) return
    const changes: { from: number; to?: number; insert?: string }[] = []
    let at = 0
    for (const part of event.delta) {
      if (part.retain) at += part.retain
      if (part.insert) changes.push({ from: at, insert: part.insert as string })
      if (part.delete) {
        changes.push({ from: at, to: at + part.delete })
        at += part.delete
      }
    }
    this.view.dispatch({ changes, annotations: fromOthers.of(true) })
  }

  get head(): number {
    return this.view.state.selection.main.head
  }

  get text(): string {
    return this.view.state.doc.toString()
  }

  get ghost(): string {
    return ghostOf(this.view)?.text ?? ''
  }

  showGhost(from: number, text: string): void {
    this.view.dispatch({ effects: setGhost.of({ from: Math.min(from, this.view.state.doc.length), text }) })
  }

  clearGhost(): void {
    if (ghostOf(this.view)) this.view.dispatch({ effects: setGhost.of(null) })
  }

  /** insert appends text, for a demonstration without typing. */
  insert(text: string): void {
    const end = this.view.state.doc.length
    this.view.dispatch({ changes: { from: end, insert: text }, selection: { anchor: end + text.length }, userEvent: 'input' })
    this.view.focus()
  }

  showCursor(client: string, name: string, line: number, column: number): void {
    const doc = this.view.state.doc
    const at = doc.line(Math.max(1, Math.min(line, doc.lines)))
    this.view.dispatch({ effects: setCursor.of({ client, name, at: Math.min(at.from + column, at.to) }) })
  }

  /** keepCursors removes the cursors of clients that have left. */
  keepCursors(clients: Set<string>): void {
    const gone = [...this.view.state.field(cursorField).keys()].filter((client) => !clients.has(client))
    if (gone.length > 0) this.view.dispatch({ effects: gone.map((client) => dropCursor.of(client)) })
  }

  close(): void {
    this.shared.text.unobserve(this.#hear)
    this.view.destroy()
  }
}
