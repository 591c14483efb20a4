package hub

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/duckwire/duckwire/hub/log"
)

// callStreams asks a node for its newest streams: streamsAsked → []StreamSummary.
const callStreams = "streams"

// StreamSummary is a stream without its text, as lists show it.
type StreamSummary struct {
	ID, Kind, Owner, Topic string
	Keep                   Keep
	State                  StreamState // without the text
}

// StreamQuery is which streams a list shows: the newest ones.
type StreamQuery struct {
	Owner  string
	All    bool   // everybody's
	Status Status // "": any
	Limit  int
}

func (q *StreamQuery) wants(s *StreamSummary) bool {
	return (q.All || s.Owner == q.Owner) && (q.Status == "" || s.State.Status == q.Status)
}

// streamsAsked is which streams of a node's another one wants to know.
type streamsAsked struct {
	Limit  int    `json:"limit"`
	Status Status `json:"status,omitempty"` // "": any
}

// Summary returns the stream's state without its text.
func (s *Stream) Summary() StreamSummary {
	s.log.Lock()
	defer s.log.Unlock()
	st := s.stateLocked(s.log.TextLen())
	st.At, st.Text = 0, nil
	return StreamSummary{ID: s.ID, Kind: s.Kind, Owner: s.Owner, Topic: s.Topic, Keep: s.Keep, State: st}
}

// summary makes one of a record.
func (rec *StreamRecord) summary() StreamSummary {
	st := StreamState{
		Status: rec.Status, Position: log.Position{Epoch: rec.Epoch, Offset: rec.Tail}, Bytes: rec.Bytes,
		Ending: rec.Ending, Info: rec.Info, Timings: rec.Timings, Account: rec.Account,
	}
	return StreamSummary{ID: rec.ID, Kind: rec.Kind, Owner: rec.Owner, Topic: rec.Topic, Keep: rec.Keep, State: st}
}

// ListStreams returns streams of all nodes, the newest first. No text is loaded for it, and this node knows none more
// of them afterwards. What cannot be had now is not there.
func (h *Hub) ListStreams(q StreamQuery) []StreamSummary {
	var list []StreamSummary
	here := make(map[string]bool)
	for _, s := range h.streams.all() {
		if q.All || s.Owner == q.Owner {
			here[s.ID] = true
			list = append(list, s.Summary())
		}
	}
	for _, s := range h.streamsElsewhere(&q) {
		if !here[s.ID] {
			here[s.ID] = true
			list = append(list, s)
		}
	}
	list = slices.DeleteFunc(list, func(s StreamSummary) bool { return !q.wants(&s) })
	slices.SortFunc(list, func(a, b StreamSummary) int {
		return cmp.Or(b.State.Timings.Created.Compare(a.State.Timings.Created), cmp.Compare(b.ID, a.ID))
	})
	return list[:min(q.Limit, len(list))]
}

// streamsElsewhere returns streams that other nodes write, and some of this node's.
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
	for _, answer := range h.cluster.callAll(callStreams, streamsAsked{q.Limit, q.Status}) {
		var theirs []StreamSummary
		if err := json.Unmarshal(answer, &theirs); err != nil {
			h.logger.Warn("streams of another node are not known; nodes of different versions?", "error", err)
			continue
		}
		list = append(list, theirs...)
	}
	return list
}

// streamsHere returns the newest streams that this node writes.
func (h *Hub) streamsHere(asked *streamsAsked) (any, error) {
	list := []StreamSummary{}
	wanted := func(s *Stream) bool { return !s.isRemote() && (asked.Status == "" || s.Status() == asked.Status) }
	for _, s := range h.Streams(asked.Limit, wanted) {
		list = append(list, s.Summary())
	}
	return list, nil
}
