package log

import (
	"encoding/json"
	"time"
)

// Run is a sequence of adjacent entries in the form in which stores keep them: pieces of text, or one event.
type Run struct {
	First   uint64 `json:"f"`           // the offset of its first entry
	Lengths []int  `json:"l,omitempty"` // of each piece of text, in bytes; empty for an event
	Text    []byte `json:"x,omitempty"` // of all pieces, or the event's own

	Kind EventKind       `json:"k,omitempty"`
	Name string          `json:"n,omitempty"`
	Data json.RawMessage `json:"d,omitempty"`
	Time time.Time       `json:"t,omitzero"` // of an event
}

// Last returns the offset of the run's last entry.
func (r *Run) Last() uint64 { return r.First + uint64(max(len(r.Lengths), 1)) - 1 }

// Runs returns the entries after the offset, and the offset of the last of them.
func (l *Log) Runs(after uint64) (runs []Run, to uint64) {
	for after < l.Tail() {
		i := int(after - l.base)
		at := l.endOf(i - 1)
		if ev := l.entries[i].event; ev != nil {
			runs = append(runs, Run{
				First: after + 1, Text: l.text[at:l.entries[i].end],
				Kind: ev.Kind, Name: ev.Name, Data: ev.Data, Time: ev.Time,
			})
			after++
			continue
		}
		run := Run{First: after + 1}
		start := at
		for ; after < l.Tail() && l.entries[after-l.base].event == nil; after++ {
			end := l.entries[after-l.base].end
			run.Lengths = append(run.Lengths, end-at)
			at = end
		}
		run.Text = l.text[start:at]
		runs = append(runs, run)
	}
	return runs, after
}

// AppendRun appends a stored run to a log that is being restored.
func (l *Log) AppendRun(r *Run) {
	if len(r.Lengths) == 0 {
		l.Append(&Event{Kind: r.Kind, Name: r.Name, Data: r.Data, Text: string(r.Text), Time: r.Time})
		return
	}
	text := r.Text
	for _, n := range r.Lengths {
		l.AppendText(string(text[:n]))
		text = text[n:]
	}
}

// Cut reduces a run of text to the entries with the offsets first to last.
func (r *Run) Cut(first, last uint64) {
	for r.First < first && len(r.Lengths) > 1 {
		r.Text, r.Lengths = r.Text[r.Lengths[0]:], r.Lengths[1:]
		r.First++
	}
	for r.Last() > last && len(r.Lengths) > 1 {
		n := len(r.Lengths) - 1
		r.Text, r.Lengths = r.Text[:len(r.Text)-r.Lengths[n]], r.Lengths[:n]
	}
}
