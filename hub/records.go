package hub

import (
	"encoding/json"
	"time"
)

// A StreamStore keeps streams over restarts of the server. The hub calls Save and Delete from one goroutine of its own, at most 250 ms behind
// what readers see and at once when a stream ends; Load once, before anything else. Whoever opened the store closes it, after the hub.
type StreamStore interface {
	// Save adds what has become of streams since the last Save: all of it, or nothing and an error; then the hub tries again with the same
	// and what came since. When it returns nil, the changes survive the end of the process and of the machine.
	Save(changes []StreamChange) error
	// Load calls f with each stream that is kept, its runs in order. It ends with f's first error.
	Load(f func(*StreamRecord) error) error
	// Delete forgets streams. Ids that it does not know are no error.
	Delete(ids []string) error
}

// StreamChange is what a Save adds: the stream's record as it is now, without its earlier runs.
type StreamChange = StreamRecord

// StreamRecord is a stream as it is kept.
type StreamRecord struct {
	ID, Kind, Topic, Owner, ContentType string

	Epoch      string
	Before     []Position // the epochs before, the latest first, and up to where each is the same as this one
	Tail       uint64     // the offset of the last entry
	Bytes      int        `json:",omitempty"` // of the text up to there; 0 also where an earlier version wrote it
	Digest     string
	Aliases    []string // the owner's own ids for it
	Keep       Keep
	Completion *CompletionMeta
	Info       CompletionInfo
	Status     Status
	Ending     Ending
	Timings    Timings
	Account    Account
	Producer   ProducerRecord
	Runs       []Run // in a change: only the new ones
}

// ProducerRecord is what fencing needs to know after a restart.
type ProducerRecord struct {
	Holder string
	Epoch  int64
	Known  map[string]ProducerProgress
}

// ProducerProgress is how far one producer got.
type ProducerProgress struct {
	Epoch, Last int64
	Closed      bool
}

// Run is a number of adjacent entries: pieces of text, or one event.
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

// newRuns returns the entries after the offset, and how far they go. l.mu is held.
func (l *log) newRuns(after uint64) (runs []Run, to uint64) {
	for after < l.tail() {
		i := int(after - l.base)
		at := l.textOffset(after)
		if ev := l.entries[i].event; ev != nil {
			runs = append(runs, Run{First: after + 1, Text: l.text[at:l.entries[i].end], Kind: ev.Kind, Name: ev.Name, Data: ev.Data, Time: ev.Time})
			after++
			continue
		}
		run := Run{First: after + 1}
		start := at
		for ; after < l.tail() && l.entries[after-l.base].event == nil; after++ {
			end := l.entries[after-l.base].end
			run.Lengths = append(run.Lengths, end-at)
			at = end
		}
		run.Text = l.text[start:at]
		runs = append(runs, run)
	}
	return runs, after
}

// addRun appends a kept run to a log that is being restored.
func (l *log) addRun(r *Run) {
	if len(r.Lengths) == 0 {
		l.appendEvent(&Event{Kind: r.Kind, Name: r.Name, Data: r.Data, Text: string(r.Text), Time: r.Time})
		return
	}
	text := r.Text
	for _, n := range r.Lengths {
		l.appendText(string(text[:n]))
		text = text[n:]
	}
}

// Cut leaves of a run only the entries from the offset first to last.
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
