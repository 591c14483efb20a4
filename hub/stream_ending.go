package hub

import (
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// errStreamEnded is the cause with which a producer's context ends.
var errStreamEnded = errors.New("the stream has ended")

// errServerStopped is the ending of a stream that outlasted the hub.
var errServerStopped = Ending{Error: &EndError{Code: "server_stopped", Message: "the server stopped while the stream was running"}}

// appendJSON appends the data of the end event: {"status","finish_reason","usage","error"} (protocol/sse.md 6.1).
func (e *Ending) appendJSON(b []byte) []byte {
	b = append(b, `{"status":"`...)
	b = append(b, e.Status...)
	b = append(b, `","finish_reason":`...)
	b = appendStringOrNull(b, e.FinishReason)
	b = append(b, `,"usage":`...)
	b = appendRawOrNull(b, e.Usage)
	b = append(b, `,"error":`...)
	if e.Error == nil {
		b = append(b, `null`...)
	} else {
		b = e.Error.AppendJSON(b)
	}
	return append(b, '}')
}

// AppendJSON appends {"code","message"}.
func (e *EndError) AppendJSON(b []byte) []byte {
	b = append(b, `{"code":`...)
	b = jsonw.AppendString(b, e.Code)
	b = append(b, `,"message":`...)
	b = jsonw.AppendString(b, e.Message)
	return append(b, '}')
}

func appendStringOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, `null`...)
	}
	return jsonw.AppendString(b, s)
}

func appendRawOrNull(b []byte, raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return append(b, `null`...)
	}
	return append(b, raw...)
}

// ResetEnd is a reset in the words of a stream's end, for readers that have no other word for it: what they read goes
// on no more, and may be asked for again.
func ResetEnd() log.Item {
	e := Ending{Status: StatusInterrupted, Error: &EndError{Code: "reset", Message: "the stream is not what was told of it; ask for it again"}}
	return log.Item{Event: &log.Event{Kind: log.EndEvent, Name: EndName, Data: e.appendJSON(nil)}}
}
