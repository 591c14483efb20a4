package hub

import "github.com/duckwire/duckwire/hub/log"

// A StreamStore keeps streams over restarts of the server. The hub calls Save and Delete from one goroutine of its own,
// at most 250 ms behind what readers see and at once when a stream ends; Load once, before anything else. Whoever
// opened the store closes it, after the hub.
type StreamStore interface {
	// Save adds what has become of streams since the last Save: all of it, or nothing and an error; then the hub tries
	// again with the same and what came since. When it returns nil, the changes survive the end of the process and of
	// the machine.
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
	Before     []log.Position // the epochs before, the latest first, and up to where each is the same as this one
	Tail       uint64         // the offset of the last entry
	Bytes      int            `json:",omitempty"` // of the text up to there; 0 also where an earlier version wrote it
	Digest     string
	Aliases    []string   // the owner's own ids for it
	Idle       IdlePolicy `json:"Keep"`
	Completion *CompletionMeta
	Info       CompletionInfo
	Status     Status
	Ending     Ending
	Timings    Timings
	Account    Account
	Producer   ProducerRecord
	Runs       []log.Run // in a change: only the new ones
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
