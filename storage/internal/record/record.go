// Package record encodes a stream's record for the stores: the hub's JSON, and the fields of an error that this JSON
// leaves out.
package record

import (
	"encoding/json"
	"time"

	"github.com/duckwire/duckwire/hub"
)

type written struct {
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
	out := written{StreamRecord: rec}
	if e := rec.Ending.Error; e != nil {
		out.Failure = &failure{e.Type, e.Status, e.Retry, e.Body}
	}
	return json.Marshal(&out)
}

// Decode reads what Encode wrote.
func Decode(raw []byte) (*hub.StreamRecord, error) {
	in := new(written)
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
