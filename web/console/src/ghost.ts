// Ghost text in CodeMirror: a completion's proposal is shown in grey after the cursor. Tab accepts it, Escape dismisses
// it.

import { Prec, StateEffect, StateField } from '@codemirror/state'
import { Decoration, type DecorationSet, EditorView, keymap, WidgetType } from '@codemirror/view'

interface Ghost {
  from: number
  text: string
}

export const setGhost = StateEffect.define<Ghost | null>()

class GhostWidget extends WidgetType {
  constructor(readonly text: string) {
    super()
  }

  override eq(other: GhostWidget): boolean {
    return other.text === this.text
  }

  toDOM(): HTMLElement {
    const span = document.createElement('span')
    span.className = 'ghost'
    span.textContent = this.text
    span.setAttribute('aria-hidden', 'true') // the status line has it for screen readers
    return span
  }
}

const ghostField = StateField.define<Ghost | null>({
  create: () => null,
  update(ghost, tr) {
    for (const effect of tr.effects) if (effect.is(setGhost)) return effect.value
    return ghost && tr.docChanged ? { ...ghost, from: tr.changes.mapPos(ghost.from, 1) } : ghost
  },
  provide: (field) =>
    EditorView.decorations.from(field, (ghost): DecorationSet => {
      if (!ghost?.text) return Decoration.none
      return Decoration.set(Decoration.widget({ widget: new GhostWidget(ghost.text), side: 2 }).range(ghost.from))
    }),
})

export const ghostOf = (view: EditorView): Ghost | null => view.state.field(ghostField)

/** ghostText is the extension. Its functions report whether they did something. */
export function ghostText(actions: { ask(): boolean; dismiss(): boolean; accepted(): void }) {
  const accept = (view: EditorView): boolean => {
    const ghost = ghostOf(view)
    if (!ghost?.text) return false
    view.dispatch({
      changes: { from: ghost.from, insert: ghost.text },
      selection: { anchor: ghost.from + ghost.text.length },
      effects: setGhost.of(null),
      userEvent: 'input.complete',
      scrollIntoView: true,
    })
    actions.accepted()
    return true
  }
  return [
    ghostField,
    Prec.highest(
      keymap.of([
        { key: 'Tab', run: accept },
        { key: 'Escape', run: () => actions.dismiss() },
        { key: 'Ctrl-Space', run: () => actions.ask(), preventDefault: true },
      ]),
    ),
  ]
}
