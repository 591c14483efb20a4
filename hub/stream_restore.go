package hub

import (
	"fmt"

	"github.com/duckwire/duckwire/hub/lock"
)

// Restore loads the streams of the store, if there is one. Call it once, before the hub is used. A stream that was
// running becomes interrupted, with the text that was saved. Its log begins a new epoch, as does that of an interrupted
// stream, which can continue: a client that has read text that was not saved is told by a reset, any other continues.
func (h *Hub) Restore() error {
	if h.recorder == nil {
		return nil
	}
	return h.recorder.store.Load(func(rec *StreamRecord) error {
		s := h.streamOf(rec)
		s.producer.restore(&rec.Producer)
		for i := range rec.Runs {
			if want := s.log.Tail() + 1; rec.Runs[i].First != want {
				return fmt.Errorf("stream %s: a run begins at entry %d, expected %d", rec.ID, rec.Runs[i].First, want)
			}
			s.log.AppendRun(&rec.Runs[i])
		}
		s.saved = s.log.Tail()
		h.logBytes.Add(s.log.Size() + streamCost)
		return h.registerRestored(s, rec)
	})
}

// streamOf returns a stream with the metadata of a record, without its runs.
func (h *Hub) streamOf(rec *StreamRecord) *Stream {
	s := &Stream{
		ID: rec.ID, Kind: rec.Kind, Topic: rec.Topic, Owner: rec.Owner, Key: rec.Key, ContentType: rec.ContentType,
		Idle: rec.Idle, Completion: rec.Completion, hub: h, created: rec.Timings.Created,
		provided: rec.Completion != nil, digest: rec.Digest, status: rec.Status, started: rec.Timings.Started,
		first: rec.Timings.FirstToken, ended: rec.Timings.Ended, ending: rec.Ending, info: rec.Info,
		startedC: make(chan struct{}), doneC: make(chan struct{}),
	}
	s.account = account{made: rec.Account.Made, unwatched: rec.Account.Unwatched, endedBy: rec.Account.EndedBy}
	s.log.SetClass(lock.Stream)
	s.log.Init(rec.Epoch, rec.Before, &h.encoded)
	for _, alias := range rec.Aliases {
		s.aliases = append(s.aliases, aliasKey{rec.Owner, alias})
	}
	return s
}

// registerRestored registers a restored stream.
func (h *Hub) registerRestored(s *Stream, rec *StreamRecord) error {
	alias := ""
	vain := s.isVain()                                  // then a newer stream may have its alias
	if s.aliases = nil; len(rec.Aliases) > 0 && !vain { // add notes it
		alias = rec.Aliases[0]
	}
	if old, err := h.streams.add(s, alias, nil); err != nil || old != nil {
		return fmt.Errorf("stream %s is kept twice", s.ID)
	}
	s.log.Lock()
	s.beginOwnEpochLocked()
	s.log.Unlock()
	if s.status.Ended() {
		close(s.startedC)
		close(s.doneC)
		h.streams.ended(s)
		return nil
	}
	why := &EndError{Code: "server_restarted", Message: "the server ended while the stream was running"}
	s.endLocal(StatusInterrupted, Ending{by: "restart", Error: why})
	return nil
}

// restore replaces the state by that of a record. A node that takes over a stream which it has owned before may have
// accepted requests that are lost, and may have uploads open: they are fenced off.
func (p *producerState) restore(rec *ProducerRecord) {
	p.holder, p.epoch, p.pending, p.current = rec.Holder, rec.Epoch, nil, nil
	p.progress = make(map[string]*producerProgress, len(rec.Known))
	for id, k := range rec.Known {
		p.progress[id] = &producerProgress{epoch: k.Epoch, last: k.Last, closed: k.Closed}
	}
}
