package hub

import "github.com/duckwire/duckwire/hub/log"

// A StreamStore stores streams, so that they outlive the process. The hub calls Save and Delete from one goroutine,
// every 250 ms and at once when a stream ends; it calls Load once, before everything else. Whoever opened the store
// closes it, after the hub.
type StreamStore interface {
	// Save stores the changes since the last Save, all of them or none. After an error the hub saves the same changes
	// again, with what came since. After nil, the changes survive a crash of the process and of the machine.
	Save(changes []StreamChange) error
	// Load calls f with each stored stream, its runs in order. It stops at f's first error and returns it.
	Load(f func(*StreamRecord) error) error
	// Delete deletes streams. It ignores unknown ids.
	Delete(ids []string) error
}

// StreamChange is a stream's present record, with only those runs that have not been saved.
type StreamChange = StreamRecord

// StreamRecord is a stream as stores have it.
type StreamRecord struct {
	ID, Kind, Topic, Owner, ContentType string

	Key string `json:",omitempty"` // the server through which it was started; earlier versions did not write it

	Epoch      string
	Before     []log.Position // earlier epochs, latest first, each with the last offset that this epoch has in common
	Tail       uint64         // the offset of the last entry
	Bytes      int            `json:",omitempty"` // of the text up to Tail; earlier versions did not write it
	Digest     string
	Aliases    []string   // ids that the owner gave it
	Idle       IdlePolicy `json:"Keep"` // the name of the field when it was first stored
	Completion *CompletionMeta
	Info       CompletionInfo
	Status     Status
	Ending     Ending
	Timings    Timings
	Account    Account
	Producer   ProducerRecord
	Runs       []log.Run // in a change: only the new ones
}

// ProducerRecord is the state of fencing and idempotency for a stream's producers.
type ProducerRecord struct {
	Holder string
	Epoch  int64
	Known  map[string]ProducerProgress
}

// ProducerProgress says which requests of one producer were accepted: up to Last of that epoch.
type ProducerProgress struct {
	Epoch, Last int64
	Closed      bool
}
