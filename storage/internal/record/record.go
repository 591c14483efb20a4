// Package record encodes a stream's record for the stores: as the hub's JSON, plus the fields of an error that this
// JSON omits.
package record

import (
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// storedRecord is the JSON form of a record.
type storedRecord struct {
	hub.StreamRecord
	Failure *failure `json:",omitempty"`
}

type failure struct {
	Type   string
	Status int
	Retry  time.Duration
	Body   json.RawMessage `json:",omitempty"`
}

// Encode returns a record as JSON, without its runs.
func Encode(rec hub.StreamRecord) ([]byte, error) {
	rec.Runs = nil
	out := storedRecord{StreamRecord: rec}
	if e := rec.Ending.Error; e != nil {
		out.Failure = &failure{e.Type, e.Status, e.Retry, e.Body}
	}
	return json.Marshal(&out)
}

// Decode decodes what Encode returned.
func Decode(raw []byte) (*hub.StreamRecord, error) {
	in := new(storedRecord)
	if err := json.Unmarshal(raw, in); err != nil {
		return nil, err
	}
	if string(in.Ending.Usage) == "null" {
		in.Ending.Usage = nil
	}
	if e, f := in.Ending.Error, in.Failure; e != nil && f != nil {
		e.Type, e.Status, e.Retry, e.Body = f.Type, f.Status, f.Retry, f.Body
	}
	return &in.StreamRecord, nil
}
