package hub

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/duckwire/duckwire/hub/log"
)

// callStreams asks a node for the newest streams that it owns: summariesQuestion → []StreamSummary.
const callStreams = "streams"

// StreamSummary is a stream without its text, as lists show it.
type StreamSummary struct {
	ID, Kind, Owner, Topic string
	Idle                   IdlePolicy  `json:"Keep"`
	State                  StreamState // without the text
}

// StreamQuery says which streams a list shows: the newest ones that match.
type StreamQuery struct {
	Owner  string
	All    bool   // of all owners
	Status Status // "": any
	Limit  int
}

func (q *StreamQuery) matches(s *StreamSummary) bool {
	return (q.All || s.Owner == q.Owner) && (q.Status == "" || s.State.Status == q.Status)
}

type summariesQuestion struct {
	Limit  int    `json:"limit"`
	Status Status `json:"status,omitempty"` // "": any
}

// Summary returns the stream's state without its text.
func (s *Stream) Summary() StreamSummary {
	s.log.Lock()
	defer s.log.Unlock()
	st := s.stateLocked(s.log.TextLen())
	st.At, st.Text = 0, nil
	return StreamSummary{ID: s.ID, Kind: s.Kind, Owner: s.Owner, Topic: s.Topic, Idle: s.Idle, State: st}
}

// summary returns the summary of a stream from its record.
func (rec *StreamRecord) summary() StreamSummary {
	st := StreamState{
		Status: rec.Status, Position: log.Position{Epoch: rec.Epoch, Offset: rec.Tail}, Bytes: rec.Bytes,
		Ending: rec.Ending, Info: rec.Info, Timings: rec.Timings, Account: rec.Account,
	}
	return StreamSummary{ID: rec.ID, Kind: rec.Kind, Owner: rec.Owner, Topic: rec.Topic, Idle: rec.Idle, State: st}
}

// summaries answers callStreams.
func (r *registry) summaries(q *summariesQuestion) (any, error) {
	match := func(s *Stream) bool { return !s.isRemote() && (q.Status == "" || s.Status() == q.Status) }
	list := []StreamSummary{}
	for _, s := range r.newest(q.Limit, match) {
		list = append(list, s.Summary())
	}
	return list, nil
}

// ListStreams returns streams of all nodes, newest first. It loads no text and makes no mirrors. Streams of a node that
// does not answer are left out, unless this node knows them.
func (h *Hub) ListStreams(q StreamQuery) []StreamSummary {
	var list []StreamSummary
	listed := make(map[string]bool)
	for _, s := range h.streams.all() {
		if q.All || s.Owner == q.Owner {
			listed[s.ID] = true
			list = append(list, s.Summary())
		}
	}
	for _, s := range h.streamsElsewhere(&q) {
		if !listed[s.ID] {
			listed[s.ID] = true
			list = append(list, s)
		}
	}
	list = slices.DeleteFunc(list, func(s StreamSummary) bool { return !q.matches(&s) })
	slices.SortFunc(list, func(a, b StreamSummary) int {
		return cmp.Or(b.State.Timings.Created.Compare(a.State.Timings.Created), cmp.Compare(b.ID, a.ID))
	})
	return list[:min(q.Limit, len(list))]
}

// streamsElsewhere returns streams that other nodes own, and perhaps some that this node owns. The owner's come from
// the store; those of all owners only their nodes can list.
func (h *Hub) streamsElsewhere(q *StreamQuery) (list []StreamSummary) {
	if !h.cluster.sharesStreams() {
		return nil
	}
	records, err := h.cluster.streams.StreamsOf(q.Owner, q.Limit)
	if err != nil {
		h.logger.Warn("streams of other nodes are not known", "user", q.Owner, "error", err)
	}
	for i := range records {
		list = append(list, records[i].Record.summary())
	}
	if !q.All {
		return list
	}
	for _, answer := range h.cluster.callAll(callStreams, summariesQuestion{q.Limit, q.Status}) {
		var theirs []StreamSummary
		if err := json.Unmarshal(answer, &theirs); err != nil {
			h.logger.Warn("streams of another node are not known; nodes of different versions?", "error", err)
			continue
		}
		list = append(list, theirs...)
	}
	return list
}
