package memory

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/internal/record"
)

// runningTTL is how long a running stream is kept after its last change.
const runningTTL = 24 * time.Hour

// Keys of streams. The key of a stream is also the channel on which its changes are published.
func streamKey(id string) string        { return "stream " + id }
func aliasKey(owner, id string) string  { return "alias " + owner + "\x00" + id }
func slotKey(owner, slot string) string { return "slot " + owner + "\x00" + slot }
func newestKey(owner string) string     { return "streams of " + owner }
func ownKey(node string) string         { return "streams on " + node }

// sharedStream is a stream in the store.
type sharedStream struct {
	node   string
	record []byte // without its runs
	tail   uint64
	runs   map[uint64]log.Run // by the offset of their first entry
}

// streamChange is the message that is published for a change of a stream.
type streamChange struct {
	node   string
	record []byte
	runs   []log.Run
}

// AddStream implements hub.SharedStreams.
func (n *Node) AddStream(rec *hub.StreamRecord, slot, replaced string) (taken, superseded string, err error) {
	taken, superseded, err = n.register("add stream", rec, slot, replaced, true)
	if err != nil || taken != "" {
		return taken, "", err
	}
	// Saving is a command of its own: the stream may lie on another server than its owner's aliases.
	switch result, _, err := n.saveStream(rec); {
	case err != nil:
		return "", superseded, err
	case result == saveTaken: // another node was faster
		return rec.ID, superseded, nil
	}
	_, err = n.addOwn(rec.ID)
	return "", superseded, err
}

// register adds a stream to its owner's list, under its aliases and to its slot ("": none). It changes nothing and
// returns an id if an alias names another stream than replaced, or if the stream is to be new and another node has it.
// Else it returns the id that was in the slot, or "".
func (n *Node) register(
	command string, rec *hub.StreamRecord, slot, replaced string, isNew bool,
) (taken, superseded string, err error) {
	err = n.do(command, func(k *keyspace) {
		if had, known := load[sharedStream](k, streamKey(rec.ID)); known && isNew && had.node != n.name {
			taken = rec.ID
			return
		}
		for _, alias := range rec.Aliases {
			id, _ := load[string](k, aliasKey(rec.Owner, alias))
			if _, exists := load[sharedStream](k, streamKey(id)); exists && id != rec.ID && id != replaced {
				taken = id
				return
			}
		}
		for _, alias := range rec.Aliases {
			k.set(aliasKey(rec.Owner, alias), rec.ID, runningTTL)
		}
		if slot != "" {
			superseded, _ = load[string](k, slotKey(rec.Owner, slot))
			k.set(slotKey(rec.Owner, slot), rec.ID, runningTTL)
		}
		if newest, _ := load[[]string](k, newestKey(rec.Owner)); !slices.Contains(newest, rec.ID) {
			k.set(newestKey(rec.Owner), append([]string{rec.ID}, newest...), runningTTL)
		}
	})
	return taken, superseded, err
}

// Save implements hub.StreamStore.
func (n *Node) Save(changes []hub.StreamChange) error {
	failed := &hub.SaveError{Behind: make(map[string]uint64)}
	for i := range changes {
		rec := &changes[i]
		switch result, behind, err := n.saveStream(rec); {
		case err != nil:
			failed.Err = err
		case result == saveTaken:
			failed.Taken = append(failed.Taken, rec.ID)
		case result == saveBehind:
			failed.Behind[rec.ID] = behind
		default:
			failed.Err = cmp.Or(n.addOwnAgain(rec), failed.Err)
		}
	}
	if len(failed.Behind)+len(failed.Taken) > 0 || failed.Err != nil {
		return failed
	}
	return nil
}

// saveResult is the result of saving a change.
type saveResult int

const (
	saveDone   saveResult = iota
	saveTaken             // another node owns the stream
	saveBehind            // the store lacks entries before the change
)

func (n *Node) saveStream(rec *hub.StreamRecord) (result saveResult, behind uint64, err error) {
	if last := len(rec.Runs); last > 0 {
		rec.Tail = max(rec.Tail, rec.Runs[last-1].Last())
	}
	raw, err := record.Encode(*rec)
	if err != nil {
		return 0, 0, err
	}
	err = n.do("save stream", func(k *keyspace) {
		if result, behind = n.putStream(k, rec, raw); result == saveDone {
			n.cluster.publish(streamKey(rec.ID), streamChange{n.name, raw, cloneRuns(rec.Runs)}, false)
		}
	})
	return result, behind, err
}

// addOwnAgain adds a stream to what lists it if the store may have lost that: the set of this node's streams, the list
// of the stream's owner, and its aliases. An alias that names another stream by now stays with
// that one.
func (n *Node) addOwnAgain(rec *hub.StreamRecord) error {
	added, err := n.addOwn(rec.ID)
	if err != nil || !added {
		return err
	}
	taken, _, err := n.register("register again", rec, "", "", false)
	if err == nil && taken != "" {
		unnamed := *rec
		unnamed.Aliases = nil
		_, _, err = n.register("register again", &unnamed, "", "", false)
	}
	if err != nil {
		n.locked(func() { delete(n.own, rec.ID) })
	}
	return err
}

// putStream applies a change to a stream, if this node owns it and no entries are missing before the change.
func (n *Node) putStream(k *keyspace, rec *hub.StreamRecord, raw []byte) (result saveResult, behind uint64) {
	s, exists := load[sharedStream](k, streamKey(rec.ID))
	complete := len(rec.Runs) > 0 && rec.Runs[0].First == 1 || rec.Tail == 0
	switch {
	case !exists && !complete:
		return saveBehind, 0
	case exists && s.node != n.name:
		return saveTaken, 0
	case len(rec.Runs) > 0 && rec.Runs[0].First > s.tail+1, len(rec.Runs) == 0 && rec.Tail != s.tail:
		return saveBehind, s.tail
	}
	if s.runs = maps.Clone(s.runs); s.runs == nil {
		s.runs = make(map[uint64]log.Run)
	}
	for _, run := range cloneRuns(rec.Runs) {
		s.runs[run.First] = run
	}
	s.node, s.record, s.tail = n.name, raw, rec.Tail
	ttl := runningTTL
	if rec.Status.Ended() {
		ttl = n.cluster.o.StreamTTL + time.Minute // its node deletes it, unless it dies first
	}
	k.set(streamKey(rec.ID), s, ttl)
	return saveDone, 0
}

// addOwn keeps the set of this node's streams, by which others find what it leaves behind when it dies.
// It reports whether the set may have lacked the stream.
func (n *Node) addOwn(id string) (added bool, err error) {
	known := false
	n.locked(func() { known = n.own[id] })
	if known {
		return false, nil
	}
	err = n.do("add own", func(k *keyspace) {
		if own, _ := load[[]string](k, ownKey(n.name)); !slices.Contains(own, id) {
			k.set(ownKey(n.name), append(slices.Clip(own), id), 0)
		}
	})
	if err == nil {
		n.locked(func() { n.own[id] = true })
	}
	return err == nil, err
}

// Load implements hub.StreamStore.
func (n *Node) Load(f func(*hub.StreamRecord) error) error {
	var found []*hub.SharedStream
	var decodeErr error
	err := n.do("load streams", func(k *keyspace) {
		own, _ := load[[]string](k, ownKey(n.name))
		for _, id := range own {
			if s, ok := load[sharedStream](k, streamKey(id)); ok && s.node == n.name {
				one, err := s.shared()
				decodeErr = cmp.Or(decodeErr, err)
				found = append(found, one)
			}
		}
	})
	for i := 0; err == nil && decodeErr == nil && i < len(found); i++ {
		err = f(&found[i].Record)
	}
	return cmp.Or(err, decodeErr)
}

// Delete implements hub.StreamStore.
func (n *Node) Delete(ids []string) error {
	err := n.do("delete streams", func(k *keyspace) {
		own, _ := load[[]string](k, ownKey(n.name))
		own = slices.Clone(own)
		for _, id := range ids {
			if s, ok := load[sharedStream](k, streamKey(id)); ok && s.node == n.name {
				k.del(streamKey(id))
			}
			own = slices.DeleteFunc(own, func(o string) bool { return o == id })
		}
		k.set(ownKey(n.name), own, 0)
	})
	if err == nil {
		n.locked(func() {
			for _, id := range ids {
				delete(n.own, id)
			}
		})
	}
	return err
}

// FindStream implements hub.SharedStreams.
func (n *Node) FindStream(user, id string) (found *hub.SharedStream, err error) {
	var ok bool
	var s sharedStream
	err = n.do("find stream", func(k *keyspace) {
		if s, ok = load[sharedStream](k, streamKey(id)); !ok {
			id, _ = load[string](k, aliasKey(user, id))
			s, ok = load[sharedStream](k, streamKey(id))
		}
	})
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errs.ErrNotFound
	}
	return s.shared()
}

// shared returns the stream with all its runs.
func (s *sharedStream) shared() (*hub.SharedStream, error) {
	rec, err := record.Decode(s.record)
	if err != nil {
		return nil, err
	}
	// If a change was saved again after its answer was lost, its entries may be in several overlapping runs.
	next := uint64(1)
	for _, first := range slices.Sorted(maps.Keys(s.runs)) {
		run := s.runs[first]
		if run.First > rec.Tail || run.Last() < next {
			continue
		}
		run.Cut(next, rec.Tail)
		rec.Runs = append(rec.Runs, run)
		next = run.Last() + 1
	}
	return &hub.SharedStream{Node: s.node, Record: *rec}, nil
}

// FollowStream implements hub.SharedStreams.
func (n *Node) FollowStream(id string, heard func(*hub.SharedStream), gap func()) (stop func()) {
	return n.follow(streamKey(id), &follower{gap: gap, heard: func(message any) {
		c := message.(streamChange)
		rec, err := record.Decode(c.record)
		if err != nil {
			gap()
			return
		}
		rec.Runs = cloneRuns(c.runs)
		heard(&hub.SharedStream{Node: c.node, Record: *rec})
	}})
}

// ClaimStream implements hub.SharedStreams.
func (n *Node) ClaimStream(id, from string) (*hub.SharedStream, error) {
	if _, err := n.addOwn(id); err != nil {
		return nil, err
	}
	var ok bool
	var s sharedStream
	err := n.do("claim stream", func(k *keyspace) {
		if s, ok = load[sharedStream](k, streamKey(id)); ok && s.node == from {
			s.node = n.name
			k.set(streamKey(id), s, runningTTL)
		}
	})
	n.locked(func() { delete(n.own, id) }) // the next save lists the stream again: its last owner may not have
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errs.ErrNotFound
	}
	return s.shared()
}

// StreamsOf implements hub.SharedStreams.
func (n *Node) StreamsOf(owner string, limit int) (list []hub.SharedStream, err error) {
	var found []sharedStream
	err = n.do("streams of", func(k *keyspace) {
		newest, _ := load[[]string](k, newestKey(owner))
		for _, id := range newest[:min(limit, len(newest))] {
			if s, ok := load[sharedStream](k, streamKey(id)); ok {
				found = append(found, s)
			}
		}
	})
	for i := 0; err == nil && i < len(found); i++ {
		var rec *hub.StreamRecord
		if rec, err = record.Decode(found[i].record); err == nil {
			list = append(list, hub.SharedStream{Node: found[i].node, Record: *rec})
		}
	}
	return list, err
}

func cloneRuns(runs []log.Run) []log.Run {
	runs = slices.Clone(runs)
	for i := range runs {
		runs[i].Text = slices.Clone(runs[i].Text)
	}
	return runs
}
