package channels

import (
	"time"

	"github.com/duckwire/duckwire/hub"
)

// streamStatus is the reply to get_status. It has both the stream's status and RubberDuck's name for it.
type streamStatus struct {
	Status    string     `json:"status"` // queued, running, completed, cancelled, failed or not_found
	Stream    string     `json:"stream,omitempty"`
	State     hub.Status `json:"state,omitempty"` // as in other answers
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
		Status: channelStatus(st.Status), Stream: s.ID, State: st.Status,
		StartedAt: timeText(st.Timings.Started), EndedAt: timeText(st.Timings.Ended),
		Position: st.Position.String(), Bytes: st.Bytes, Watchers: st.Watchers,
	}
	if st.Ending.Error != nil {
		out.Error = st.Ending.Error.Message
	}
	return out
}

// channelStatus returns the name that RubberDuck's clients use for a status.
func channelStatus(s hub.Status) string {
	switch s {
	case hub.StatusDone:
		return "completed"
	case hub.StatusSuperseded:
		return "cancelled"
	case hub.StatusInterrupted:
		return "failed"
	}
	return string(s)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(hub.TimeFormat)
}
