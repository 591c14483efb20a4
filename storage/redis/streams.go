package redis

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/internal/record"
)

//go:embed stream_add.lua
var streamAdd string

//go:embed stream_save.lua
var streamSave string

//go:embed stream_claim.lua
var streamClaim string

//go:embed stream_delete.lua
var streamDelete string

var (
	addScript    = newScript(streamAdd)
	saveScript   = newScript(streamSave)
	claimScript  = newScript(streamClaim)
	deleteScript = newScript(streamDelete)
)

// runningTTL is the retention of a running stream without changes. Before it is over, the stream's node finishes the
// stream, or others find that node dead.
const runningTTL = 24 * time.Hour

// AddStream implements hub.SharedStreams.
func (s *Store) AddStream(rec *hub.StreamRecord, slot, replaced string) (taken, superseded string, err error) {
	switch node, err := s.nodeOf(rec.ID); {
	case err != nil:
		return "", "", err
	case node != "" && node != s.Options.Node:
		return rec.ID, "", nil
	}
	taken, superseded, err = s.register(rec, slot, replaced)
	if err != nil || taken != "" {
		return taken, "", err
	}
	switch err := s.saveOne(rec); {
	case errors.Is(err, errTaken): // another node added it meanwhile
		return rec.ID, superseded, nil
	case err != nil:
		return "", superseded, err
	}
	return "", superseded, nil
}

// register adds a stream to its owner's list, under its aliases and to its slot ("": none). It changes nothing and
// returns an id if an alias names another stream than replaced. Else it returns the id that was in the slot, or "".
func (s *Store) register(rec *hub.StreamRecord, slot, replaced string) (taken, superseded string, err error) {
	keys := []string{s.ownerKey(rec.Owner) + "i", s.slotKey(rec.Owner, slot)}
	args := []string{rec.ID, strconv.FormatInt(rec.Timings.Created.UnixMilli(), 10), millis(runningTTL), slot}
	for _, alias := range rec.Aliases {
		keys = append(keys, s.aliasKey(rec.Owner, alias))
		stale, err := s.staleAlias(rec.Owner, alias)
		if err != nil {
			return "", "", err
		}
		args = append(args, cmp.Or(stale, replaced))
	}
	out, err := s.run(addScript, keys, args).AsStrSlice()
	if err != nil {
		return "", "", unavailable(err)
	}
	return out[0], out[1], nil
}

// staleAlias returns the id of a stream that no longer exists and that an alias still names, or "".
func (s *Store) staleAlias(owner, alias string) (string, error) {
	id, err := s.do(s.client.B().Get().Key(s.aliasKey(owner, alias)).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	} else if err != nil {
		return "", unavailable(err)
	}
	node, err := s.nodeOf(id)
	if err != nil || node != "" {
		return "", err
	}
	return id, nil
}

// nodeOf returns the node that owns a stream, or "" if the stream does not exist.
func (s *Store) nodeOf(id string) (string, error) {
	node, err := s.do(s.client.B().Hget().Key(s.streamKey(id)).Field("n").Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", unavailable(err)
	}
	return node, nil
}

// Save implements hub.StreamStore.
func (s *Store) Save(changes []hub.StreamChange) error {
	calls := make([]scriptCall, len(changes))
	for i := range changes {
		var err error
		if calls[i], err = s.saveCall(&changes[i]); err != nil {
			return err
		}
	}
	failed := &hub.SaveError{Behind: make(map[string]uint64)}
	for i, result := range s.runAll(saveScript, calls) {
		rec := &changes[i]
		var behind errBehind
		switch err := s.checkSaved(result); {
		case errors.Is(err, errTaken):
			failed.Taken = append(failed.Taken, rec.ID)
		case errors.As(err, &behind):
			failed.Behind[rec.ID] = uint64(behind)
		case err != nil: // the hub saves all again; saving twice does no harm
			failed.Err = err
		default:
			failed.Err = cmp.Or(s.addOwnAgain(rec), failed.Err)
		}
	}
	if len(failed.Behind)+len(failed.Taken) > 0 || failed.Err != nil {
		return failed
	}
	return nil
}

// errTaken means that a stream belongs to another node.
var errTaken = errors.New("the stream is another node's")

// errBehind is the offset after which Redis lacks entries.
type errBehind uint64

func (e errBehind) Error() string { return fmt.Sprintf("entries behind %d are missing", uint64(e)) }

// change is the message that is published for a stream.
type change struct {
	Node   string          `json:"n"`
	Record json.RawMessage `json:"r"`
	Runs   []log.Run       `json:"u,omitempty"`
}

func (s *Store) saveOne(rec *hub.StreamRecord) error {
	call, err := s.saveCall(rec)
	if err != nil {
		return err
	}
	if err := s.checkSaved(s.run(saveScript, call.keys, call.args)); err != nil {
		return err
	}
	_, err = s.addOwn(rec.ID)
	return err
}

// addOwnAgain adds a stream to what lists it if Redis may have lost that: the set of this node's streams, the list of
// the stream's owner, and its aliases. An alias that names another stream by now stays with
// that one.
func (s *Store) addOwnAgain(rec *hub.StreamRecord) error {
	added, err := s.addOwn(rec.ID)
	if err != nil || !added {
		return err
	}
	taken, _, err := s.register(rec, "", "")
	if err == nil && taken != "" {
		unnamed := *rec
		unnamed.Aliases = nil
		_, _, err = s.register(&unnamed, "", "")
	}
	if err != nil {
		s.dropOwn(rec.ID)
	}
	return err
}

// saveCall returns the keys and arguments of saveScript for a change.
func (s *Store) saveCall(rec *hub.StreamRecord) (call scriptCall, err error) {
	if n := len(rec.Runs); n > 0 {
		rec.Tail = max(rec.Tail, rec.Runs[n-1].Last())
	}
	raw, err := record.Encode(*rec)
	if err != nil {
		return call, err
	}
	message, err := json.Marshal(change{s.Options.Node, raw, rec.Runs})
	if err != nil {
		return call, err
	}
	ttl, complete := runningTTL, "0"
	if rec.Status.Ended() {
		ttl = s.StreamTTL + time.Minute // normally its node deletes it; this is for a node that died
	}
	if len(rec.Runs) > 0 && rec.Runs[0].First == 1 || rec.Tail == 0 {
		complete = "1"
	}
	key := s.streamKey(rec.ID)
	tail := strconv.FormatUint(rec.Tail, 10)
	args := []string{s.channel(key), s.Options.Node, string(raw), tail, millis(ttl), string(message), complete}
	for i := range rec.Runs {
		run, err := json.Marshal(&rec.Runs[i])
		if err != nil {
			return call, err
		}
		args = append(args, strconv.FormatUint(rec.Runs[i].First, 10), string(run))
	}
	return scriptCall{[]string{key, key + ":r"}, args}, nil
}

// checkSaved evaluates the answer of saveScript.
func (s *Store) checkSaved(result rueidis.RedisResult) error {
	out, err := result.ToString()
	switch {
	case err != nil:
		return unavailable(err)
	case out == "taken":
		return errTaken
	case out == "none":
		return errBehind(0)
	case out != "ok":
		n, _ := strconv.ParseUint(out, 10, 64) // written by the script
		return errBehind(n)
	}
	return nil
}

// addOwn adds a stream to the set of this node's streams in Redis. Other nodes read the set when this node dies. It
// contains the streams that have not ended, and those that must still be deleted. It reports whether the set may have
// lacked the stream.
func (s *Store) addOwn(id string) (added bool, err error) {
	s.ownMu.Lock()
	listed := s.own[id]
	s.own[id] = true
	s.ownMu.Unlock()
	if listed {
		return false, nil
	}
	score := float64(s.ownOrder.Add(1))
	add := s.client.B().Zadd().Key(s.ownKey(s.Options.Node)).Nx().ScoreMember().ScoreMember(score, id).Build()
	if err := s.do(add).Error(); err != nil {
		s.dropOwn(id)
		return false, unavailable(err)
	}
	return true, nil
}

// dropOwn records that streams may be missing in this node's set.
func (s *Store) dropOwn(ids ...string) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	for _, id := range ids {
		delete(s.own, id)
	}
}

// resetOwn records that all streams may be missing in this node's set, so that each is added again.
func (s *Store) resetOwn() {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	clear(s.own)
}

// Load implements hub.StreamStore.
func (s *Store) Load(f func(*hub.StreamRecord) error) error {
	ids, err := s.do(s.client.B().Zrange().Key(s.ownKey(s.Options.Node)).Min("0").Max("-1").Build()).AsStrSlice()
	if err != nil {
		return unavailable(err)
	}
	for _, id := range ids {
		found, err := s.readStream(id)
		if errors.Is(err, errs.ErrNotFound) || err == nil && found.Node != s.Options.Node {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(&found.Record); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements hub.StreamStore.
func (s *Store) Delete(ids []string) error {
	for part := range slices.Chunk(ids, 100) {
		calls := make([]scriptCall, len(part))
		for i, id := range part {
			calls[i] = scriptCall{[]string{s.streamKey(id), s.streamKey(id) + ":r"}, []string{s.Options.Node}}
		}
		for _, result := range s.runAll(deleteScript, calls) {
			if err := result.Error(); err != nil {
				return unavailable(err)
			}
		}
		if err := s.do(s.client.B().Zrem().Key(s.ownKey(s.Options.Node)).Member(part...).Build()).Error(); err != nil {
			return unavailable(err)
		}
		s.dropOwn(part...)
	}
	return nil
}

// FindStream implements hub.SharedStreams.
func (s *Store) FindStream(user, id string) (*hub.SharedStream, error) {
	found, err := s.readStream(id)
	if !errors.Is(err, errs.ErrNotFound) {
		return found, err
	}
	named, err := s.do(s.client.B().Get().Key(s.aliasKey(user, id)).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return nil, errs.ErrNotFound
	} else if err != nil {
		return nil, unavailable(err)
	}
	return s.readStream(named)
}

// readStream reads one stream with all its runs.
func (s *Store) readStream(id string) (*hub.SharedStream, error) {
	key := s.streamKey(id)
	// The record is read before the runs, which may therefore be newer: they are cut to the record's tail.
	b := s.client.B
	results, err := s.doAll(b().Hmget().Key(key).Field("n", "r").Build(), b().Hvals().Key(key+":r").Build())
	if err != nil {
		return nil, err
	}
	head, err := results[0].ToArray()
	if err != nil {
		return nil, unavailable(err)
	}
	runs, err := results[1].ToMessage()
	if err != nil {
		return nil, unavailable(err)
	}
	return parseStream(id, append(head, runs))
}

// parseStream parses a stream: its node, its record, and its runs.
func parseStream(id string, values []rueidis.RedisMessage) (*hub.SharedStream, error) {
	found, err := parseHead(id, values)
	if err != nil {
		return nil, err
	}
	texts, err := values[2].AsStrSlice()
	if err != nil {
		return nil, unavailable(err)
	}
	if found.Record.Runs, err = parseRuns(texts, found.Record.Tail); err != nil {
		return nil, fmt.Errorf("stream %s: %w", id, err)
	}
	return found, nil
}

// parseHead parses a stream's node and record. It returns ErrNotFound if there is none.
func parseHead(id string, values []rueidis.RedisMessage) (*hub.SharedStream, error) {
	if len(values) < 2 || values[0].IsNil() {
		return nil, errs.ErrNotFound
	}
	node, err := values[0].ToString()
	raw, err2 := values[1].AsBytes()
	if err := errors.Join(err, err2); err != nil {
		return nil, unavailable(err)
	}
	rec, err := record.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", id, err)
	}
	return &hub.SharedStream{Node: node, Record: *rec}, nil
}

// parseRuns parses the runs up to an offset, in order. Runs may overlap: after a lost answer, entries are sent again
// in other pieces.
func parseRuns(texts []string, tail uint64) ([]log.Run, error) {
	all := make([]log.Run, len(texts))
	for i := range texts {
		if err := json.Unmarshal([]byte(texts[i]), &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b log.Run) int { return cmp.Compare(a.First, b.First) })
	var runs []log.Run
	next := uint64(1)
	for i := range all {
		r := &all[i]
		if r.First > tail || r.Last() < next {
			continue
		}
		if r.First > next {
			return nil, fmt.Errorf("a run begins at entry %d, expected %d", r.First, next)
		}
		r.Cut(next, tail)
		runs = append(runs, *r)
		next = r.Last() + 1
	}
	return runs, nil
}

// FollowStream implements hub.SharedStreams.
func (s *Store) FollowStream(id string, heard func(*hub.SharedStream), gap func()) (stop func()) {
	return s.bus.follow(s.channel(s.streamKey(id)), &follower{gap: gap, heard: func(message string) {
		var c change
		err := json.Unmarshal([]byte(message), &c)
		var rec *hub.StreamRecord
		if err == nil {
			rec, err = record.Decode(c.Record)
		}
		if err != nil {
			s.Logger.Error("a stream of another node cannot be parsed; do the nodes run different versions?",
				"stream", id, "error", err)
			gap()
			return
		}
		rec.Runs = c.Runs
		heard(&hub.SharedStream{Node: c.Node, Record: *rec})
	}})
}

// ClaimStream implements hub.SharedStreams. It adds the stream to this node's set first: if this node dies right after
// the claim, others find it there.
func (s *Store) ClaimStream(id, from string) (*hub.SharedStream, error) {
	if _, err := s.addOwn(id); err != nil {
		return nil, err
	}
	key := s.streamKey(id)
	out, err := s.run(claimScript, []string{key, key + ":r"}, []string{from, s.Options.Node}).ToArray()
	if err != nil {
		return nil, unavailable(err)
	}
	found, err := parseStream(id, out)
	s.dropOwn(id) // the next save lists the stream again: its last owner may have died before it did, after a loss
	if errors.Is(err, errs.ErrNotFound) || err == nil && found.Node != s.Options.Node {
		// A stale element of the set does no harm.
		_ = s.do(s.client.B().Zrem().Key(s.ownKey(s.Options.Node)).Member(id).Build())
	}
	return found, err
}

// StreamsOf implements hub.SharedStreams.
func (s *Store) StreamsOf(owner string, limit int) ([]hub.SharedStream, error) {
	newest := s.client.B().Zrange().Key(s.ownerKey(owner) + "i").Min("0").Max(strconv.Itoa(limit - 1)).Rev().Build()
	ids, err := s.do(newest).AsStrSlice()
	if err != nil {
		return nil, unavailable(err)
	}
	list := make([]hub.SharedStream, 0, len(ids))
	for part := range slices.Chunk(ids, pipelineSize) {
		commands := make([]rueidis.Completed, len(part))
		for i, id := range part {
			commands[i] = s.client.B().Hmget().Key(s.streamKey(id)).Field("n", "r").Build()
		}
		answers, err := s.doAll(commands...)
		if err != nil {
			return nil, err
		}
		for i, id := range part {
			values, err := answers[i].ToArray()
			if err != nil {
				return nil, unavailable(err)
			}
			found, err := s.headOf(id, values)
			switch {
			case errors.Is(err, errs.ErrNotFound): // deleted, or lost by Redis
			case errors.Is(err, errs.ErrUnavailable):
				return nil, err
			case err != nil:
				s.Logger.Warn("a stream cannot be read and is missing in a list", "error", err)
			default:
				list = append(list, *found)
			}
		}
	}
	return list, nil
}

// headOf parses a stream without its runs. The record has the length of the text, unless an earlier version wrote it:
// then the length is counted from the runs.
func (s *Store) headOf(id string, values []rueidis.RedisMessage) (*hub.SharedStream, error) {
	found, err := parseHead(id, values)
	if err != nil || found.Record.Bytes > 0 || found.Record.Tail == 0 {
		return found, err
	}
	full, err := s.readStream(id)
	if err != nil {
		return nil, err
	}
	for i := range full.Record.Runs {
		found.Record.Bytes += len(full.Record.Runs[i].Text)
	}
	return found, nil
}
