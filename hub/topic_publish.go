package hub

import (
	"errors"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// share publishes checked events for all nodes.
func (h *Hub) share(name, sender string, events []EventInput) ([]Published, error) {
	if err := ValidTopic(name); err != nil {
		return nil, err
	}
	shared := make([]SharedEvent, len(events))
	now := time.Now()
	for i := range events {
		in := &events[i]
		shared[i] = SharedEvent{
			ID: in.ID, Named: in.ID != "" && !in.Ephemeral, Sender: sender, Event: in.Event, Bytes: in.Bytes, Except: in.Except, Ephemeral: in.Ephemeral, Millis: now.UnixMilli(),
		}
		if in.ID == "" {
			shared[i].ID = ulid.Make().String()
		}
		if in.Bytes == nil {
			shared[i].Payload = in.Payload
		}
	}
	places, err := h.appendShared(name, shared)
	if err != nil {
		return nil, err
	}
	out := make([]Published, len(events))
	for i := range out {
		out[i].ID = shared[i].ID
		if !shared[i].Ephemeral {
			out[i].Position = places[i].String()
			h.noticeEpoch(name, places[i].Epoch)
		}
	}
	return out, nil
}

// appendTimeout is for how long events are offered to a store that cannot be reached.
const appendTimeout = 5 * time.Second

// appendShared adds events to the store. Those that have names are offered again where it cannot be reached: it knows
// them if it has them already. So what the same sender publishes next does not overtake them while Redis comes back.
func (h *Hub) appendShared(name string, events []SharedEvent) (places []log.Position, err error) {
	l := &h.limits
	room := TopicLimits{Events: l.HistoryEvents, Bytes: l.HistoryBytes, TTL: l.HistoryTTL, Ephemerals: l.EphemeralKeys, EphemeralTTL: l.EphemeralTTL}
	again := !slices.ContainsFunc(events, func(e SharedEvent) bool { return !e.Named })
	begun := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		places, err = h.cluster.topics.AppendEvents(name, events, room)
		if !again || !errors.Is(err, errs.ErrUnavailable) || time.Since(begun) > appendTimeout || !h.Pause(pause) {
			return places, err
		}
	}
}

// noticeEpoch has a mirror that is of another epoch ask the store, which it may not have heard of yet.
func (h *Hub) noticeEpoch(name, epoch string) {
	h.topicMu.RLock()
	t := h.topics[name]
	h.topicMu.RUnlock()
	if t == nil {
		return
	}
	t.Lock()
	m := t.mirror
	other := t.Epoch() != epoch
	t.Unlock()
	if m != nil && other {
		m.Gap()
	}
}
