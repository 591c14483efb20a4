package hub

import (
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// Ending is how a stream ended.
type Ending struct {
	Status       Status
	FinishReason string          // "" is null
	Usage        json.RawMessage // OpenAI's usage object, or nil
	Error        *EndError
	FinishSent   bool // a ChunkEvent has the finish reason already
	FinishTold   bool // an entry FinishName has it already; earlier versions do not know such entries
	UsageSent    bool // a ChunkEvent has the usage already

	by string // who or what ended it, for the account
}

// EndError says why a stream did not end well.
type EndError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Type    string          `json:"-"` // OpenAI's error type
	Param   string          `json:"-"` // OpenAI's name of the member at fault
	Status  int             `json:"-"` // the HTTP status that a provider refused with
	Retry   time.Duration   `json:"-"`
	Body    json.RawMessage `json:"-"` // the upstream's own error object

	Header map[string][]string `json:"-"` // see ProviderError.Header
}

// errStreamEnded is the cause with which a provider's context ends.
var errStreamEnded = errors.New("the stream has ended")

// errServerStopped is the ending of a stream that still ran when the hub closed.
var errServerStopped = Ending{
	Error: &EndError{Code: "server_stopped", Message: "the server stopped while the stream was running"},
}

// appendJSON appends the data of the end event, {"status","finish_reason","usage","error"}: schema End in openapi.yaml.
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

// ResetEnd is a reset in the form of a stream's end, for formats that have no reset: the answer ends there, and the
// client may ask for the stream again.
func ResetEnd() log.Item {
	e := Ending{
		Status: StatusInterrupted,
		Error:  &EndError{Code: "reset", Message: "the stream cannot be resumed at this position; ask for it again"},
	}
	return log.Item{Event: &log.Event{Kind: log.EndEvent, Name: EndName, Data: e.appendJSON(nil)}}
}

// afterEnd is called once for each end of a stream that this node owns, with nothing locked. It frees what the running
// stream took, queues its result, and logs its account.
func (s *Stream) afterEnd() {
	h := s.hub
	h.streams.ended(s)
	if s.job != nil {
		h.jobs.remove(s.job)
	}
	h.results.add(s, s.Status())
	if h.logger.Enabled(h.ctx, slog.LevelInfo) {
		s.logAccount()
	}
}

func (s *Stream) logAccount() {
	st := s.State()
	attrs := []slog.Attr{
		slog.String("stream", s.ID), slog.String("kind", s.Kind), slog.String("owner", s.Owner),
		slog.String("status", string(st.Status)), slog.Int("tokens_made", st.Account.Made),
		slog.Int("tokens_delivered", st.Account.Delivered), slog.Int("tokens_unwatched", st.Account.Unwatched),
		slog.Int64("duration_ms", st.Timings.Ended.Sub(st.Timings.Created).Milliseconds()),
	}
	if !st.Timings.FirstToken.IsZero() {
		ms := st.Timings.FirstToken.Sub(st.Timings.Created).Milliseconds()
		attrs = append(attrs, slog.Int64("first_token_ms", ms))
	}
	if s.requestID != "" {
		attrs = append(attrs, slog.String("request_id", s.requestID))
	}
	if st.Account.EndedBy != "" {
		attrs = append(attrs, slog.String("ended_by", st.Account.EndedBy))
	}
	if e := st.Ending.Error; e != nil {
		attrs = append(attrs, slog.String("error", e.Code))
	}
	s.hub.logger.LogAttrs(s.hub.ctx, slog.LevelInfo, "stream ended", attrs...)
}
