package channels

import (
	"time"

	"github.com/duckwire/duckwire/hub"
)

// statusNotFound is the status of a request that is unknown, or that the client may not read.
const statusNotFound = "not_found"

// streamStatus is the reply to get_status. The status is a stream's, as in all other answers.
type streamStatus struct {
	ID        string     `json:"id,omitempty"` // as in the events of the answer
	Status    hub.Status `json:"status"`
	Stream    string     `json:"stream,omitempty"`
	State     hub.Status `json:"state,omitempty"` // the same as Status, which had other words for some statuses before
	StartedAt string     `json:"started_at,omitempty"`
	EndedAt   string     `json:"ended_at,omitempty"`
	Position  string     `json:"position,omitempty"`
	Bytes     int        `json:"bytes"`
	Watchers  int        `json:"watchers"`
	Error     string     `json:"error,omitempty"`
}

func statusOf(s *hub.Stream) streamStatus {
	st := s.State()
	out := streamStatus{
		ID: answerID(s), Status: st.Status, Stream: s.ID, State: st.Status,
		StartedAt: timeText(st.Timings.Started), EndedAt: timeText(st.Timings.Ended),
		Position: st.Position.String(), Bytes: st.Bytes, Watchers: st.Watchers,
	}
	if st.Ending.Error != nil {
		out.Error = st.Ending.Error.Message
	}
	return out
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(hub.TimeFormat)
}
