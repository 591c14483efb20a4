// The cursors of the others, with their names.

import { StateEffect, StateField } from '@codemirror/state'
import { Decoration, type DecorationSet, EditorView, WidgetType } from '@codemirror/view'

export interface Cursor {
  client: string
  name: string
  at: number
}

export const setCursor = StateEffect.define<Cursor>({ map: (cursor, changes) => ({ ...cursor, at: changes.mapPos(Math.min(cursor.at, changes.length)) }) })
export const dropCursor = StateEffect.define<string>()

/** hue derives a user's colour from the name, so that it is the same on every page. */
export function hue(name: string): number {
  let h = 0
  for (const c of name) h = (h * 31 + c.charCodeAt(0)) % 360
  return h
}

class CaretWidget extends WidgetType {
  constructor(readonly cursor: Cursor) {
    super()
  }

  override eq(other: CaretWidget): boolean {
    return other.cursor.client === this.cursor.client && other.cursor.name === this.cursor.name
  }

  toDOM(): HTMLElement {
    const caret = document.createElement('span')
    caret.className = 'caret'
    caret.style.setProperty('--hue', String(hue(this.cursor.client)))
    caret.dataset.name = this.cursor.name
    caret.setAttribute('aria-label', `cursor of ${this.cursor.name}`)
    return caret
  }
}

export const cursorField = StateField.define<Map<string, Cursor>>({
  create: () => new Map(),
  update(cursors, tr) {
    if (!tr.docChanged && tr.effects.length === 0) return cursors
    const next = new Map(cursors)
    if (tr.docChanged) for (const [client, c] of next) next.set(client, { ...c, at: tr.changes.mapPos(Math.min(c.at, tr.startState.doc.length)) })
    for (const effect of tr.effects) {
      if (effect.is(setCursor)) next.set(effect.value.client, { ...effect.value, at: Math.min(effect.value.at, tr.newDoc.length) })
      if (effect.is(dropCursor)) next.delete(effect.value)
    }
    return next
  },
  provide: (field) =>
    EditorView.decorations.from(field, (cursors): DecorationSet => {
      const all = [...cursors.values()].sort((a, b) => a.at - b.at)
      return Decoration.set(all.map((c) => Decoration.widget({ widget: new CaretWidget(c), side: 1 }).range(c.at)))
    }),
})
