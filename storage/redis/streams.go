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

// runningTTL is for how long a stream is kept that nothing more is heard of. Whoever looks for it before knows whether its node lives.
const runningTTL = 24 * time.Hour

func streamKey(id string) string        { return "dw:{s:" + id + "}" }
func ownerKey(owner string) string      { return "dw:{u:" + owner + "}:" }
func aliasKey(owner, id string) string  { return ownerKey(owner) + "a:" + id }
func slotKey(owner, slot string) string { return ownerKey(owner) + "o:" + slot }

// ownKey is the key of the set of a node's own streams.
func ownKey(node string) string { return nodeKey(node) + ":s" }

// AddStream implements hub.SharedStreams.
func (s *Store) AddStream(rec *hub.StreamRecord, slot string) (taken, superseded string, err error) {
	keys := []string{ownerKey(rec.Owner) + "i", slotKey(rec.Owner, slot)}
	args := []string{rec.ID, strconv.FormatInt(rec.Timings.Created.UnixMilli(), 10), millis(runningTTL), slot}
	for _, alias := range rec.Aliases {
		keys = append(keys, aliasKey(rec.Owner, alias))
		gone, err := s.goneUnder(rec.Owner, alias)
		if err != nil {
			return "", "", err
		}
		args = append(args, gone)
	}
	if had, err := s.nodeOf(rec.ID); err != nil || had != "" {
		return rec.ID, "", err
	}
	out, err := s.run(addScript, keys, args).AsStrSlice()
	if err != nil {
		return "", "", unavailable(err)
	}
	if taken, superseded = out[0], out[1]; taken != "" {
		return taken, "", nil
	}
	switch err := s.saveOne(rec); {
	case errors.Is(err, errTaken): // somebody else was as quick
		return rec.ID, superseded, nil
	case err != nil:
		return "", superseded, err
	}
	return "", superseded, nil
}

// goneUnder returns the id of a stream that an alias still names, though it is no longer kept; or "".
func (s *Store) goneUnder(owner, alias string) (string, error) {
	id, err := s.do(s.client.B().Get().Key(aliasKey(owner, alias)).Build()).ToString()
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

// nodeOf returns whose a stream is, or "" if there is none.
func (s *Store) nodeOf(id string) (string, error) {
	node, err := s.do(s.client.B().Hget().Key(streamKey(id)).Field("n").Build()).ToString()
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
		if calls[i], err = s.saving(&changes[i]); err != nil {
			return err
		}
	}
	failed := &hub.SaveError{Behind: make(map[string]uint64)}
	for i, result := range s.runAll(saveScript, calls) {
		rec := &changes[i]
		var behind errBehind
		switch err := s.saved(rec, result); {
		case errors.Is(err, errTaken):
			failed.Taken = append(failed.Taken, rec.ID)
		case errors.As(err, &behind):
			failed.Behind[rec.ID] = uint64(behind)
		case err != nil: // it is saved again with all others, which does no harm to those that were
			failed.Err = err
		}
	}
	if len(failed.Behind)+len(failed.Taken) > 0 || failed.Err != nil {
		return failed
	}
	return nil
}

// errTaken means that a stream is another node's.
var errTaken = errors.New("the stream is another node's")

// errBehind is the offset behind which Redis lacks entries.
type errBehind uint64

func (e errBehind) Error() string { return fmt.Sprintf("entries behind %d are missing", uint64(e)) }

// change is what is published of a stream.
type change struct {
	Node   string          `json:"n"`
	Record json.RawMessage `json:"r"`
	Runs   []hub.Run       `json:"u,omitempty"`
}

func (s *Store) saveOne(rec *hub.StreamRecord) error {
	call, err := s.saving(rec)
	if err != nil {
		return err
	}
	return s.saved(rec, s.run(saveScript, call.keys, call.args))
}

// saving is what the script is given that saves a change.
func (s *Store) saving(rec *hub.StreamRecord) (call scriptCall, err error) {
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
	ttl, whole := runningTTL, "0"
	if rec.Status.Ended() {
		ttl = s.StreamTTL + time.Minute // its node deletes it; this is for nodes that died
	}
	if len(rec.Runs) > 0 && rec.Runs[0].First == 1 || rec.Tail == 0 {
		whole = "1"
	}
	key := streamKey(rec.ID)
	args := []string{key, s.Options.Node, string(raw), strconv.FormatUint(rec.Tail, 10), millis(ttl), string(message), whole}
	for i := range rec.Runs {
		run, err := json.Marshal(&rec.Runs[i])
		if err != nil {
			return call, err
		}
		args = append(args, strconv.FormatUint(rec.Runs[i].First, 10), string(run))
	}
	return scriptCall{[]string{key, key + ":r"}, args}, nil
}

// saved looks at what the script has answered.
func (s *Store) saved(rec *hub.StreamRecord, result rueidis.RedisResult) error {
	out, err := result.ToString()
	switch {
	case err != nil:
		return unavailable(err)
	case out == "taken":
		return errTaken
	case out == "none":
		return errBehind(0)
	case out != "ok":
		n, _ := strconv.ParseUint(out, 10, 64) // the script wrote it
		return errBehind(n)
	}
	return s.mine(rec)
}

// mine keeps the set of this node's streams, by which others find what it leaves behind when it dies: those that have not ended, and those
// that are still to be deleted.
func (s *Store) mine(rec *hub.StreamRecord) error {
	s.ownMu.Lock()
	known := s.own[rec.ID]
	s.own[rec.ID] = true
	s.ownMu.Unlock()
	if known {
		return nil
	}
	score := float64(s.ownOrder.Add(1))
	err := s.do(s.client.B().Zadd().Key(ownKey(s.Options.Node)).Nx().ScoreMember().ScoreMember(score, rec.ID).Build()).Error()
	if err != nil {
		s.ownMu.Lock()
		delete(s.own, rec.ID)
		s.ownMu.Unlock()
		return unavailable(err)
	}
	return nil
}

// forgetOwn has the set of this node's streams made anew.
func (s *Store) forgetOwn() {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	clear(s.own)
}

// Load implements hub.StreamStore.
func (s *Store) Load(f func(*hub.StreamRecord) error) error {
	ids, err := s.do(s.client.B().Zrange().Key(ownKey(s.Options.Node)).Min("0").Max("-1").Build()).AsStrSlice()
	if err != nil {
		return unavailable(err)
	}
	for _, id := range ids {
		found, err := s.readStream(id)
		if errors.Is(err, hub.ErrNotFound) || err == nil && found.Node != s.Options.Node {
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
			calls[i] = scriptCall{[]string{streamKey(id), streamKey(id) + ":r"}, []string{s.Options.Node}}
		}
		for _, result := range s.runAll(deleteScript, calls) {
			if err := result.Error(); err != nil {
				return unavailable(err)
			}
		}
		if err := s.do(s.client.B().Zrem().Key(ownKey(s.Options.Node)).Member(part...).Build()).Error(); err != nil {
			return unavailable(err)
		}
		s.ownMu.Lock()
		for _, id := range part {
			delete(s.own, id)
		}
		s.ownMu.Unlock()
	}
	return nil
}

// FindStream implements hub.SharedStreams.
func (s *Store) FindStream(user, id string) (*hub.SharedStream, error) {
	found, err := s.readStream(id)
	if !errors.Is(err, hub.ErrNotFound) {
		return found, err
	}
	named, err := s.do(s.client.B().Get().Key(aliasKey(user, id)).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return nil, hub.ErrNotFound
	} else if err != nil {
		return nil, unavailable(err)
	}
	return s.readStream(named)
}

// readStream reads one stream with all its runs.
func (s *Store) readStream(id string) (*hub.SharedStream, error) {
	key := streamKey(id)
	// The record is read before the runs: these may then go further, and are cut to what the record says.
	results := s.client.DoMulti(s.ctx, s.client.B().Hmget().Key(key).Field("n", "r").Build(), s.client.B().Hvals().Key(key+":r").Build())
	head, err := results[0].ToArray()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(head) != 2 || head[0].IsNil() {
		return nil, hub.ErrNotFound
	}
	node, err := head[0].ToString()
	raw, err2 := head[1].AsBytes()
	texts, err3 := results[1].AsStrSlice()
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, unavailable(err)
	}
	rec, err := record.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", id, err)
	}
	if rec.Runs, err = parseRuns(texts, rec.Tail); err != nil {
		return nil, fmt.Errorf("stream %s: %w", id, err)
	}
	return &hub.SharedStream{Node: node, Record: *rec}, nil
}

// parseRuns reads the runs up to an offset, in order. What was sent twice, after an answer was lost, is there in other pieces, too.
func parseRuns(texts []string, tail uint64) ([]hub.Run, error) {
	all := make([]hub.Run, len(texts))
	for i := range texts {
		if err := json.Unmarshal([]byte(texts[i]), &all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b hub.Run) int { return cmp.Compare(a.First, b.First) })
	var runs []hub.Run
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
	return s.bus.follow(streamKey(id), &follower{gap: gap, heard: func(message string) {
		var c change
		err := json.Unmarshal([]byte(message), &c)
		var rec *hub.StreamRecord
		if err == nil {
			rec, err = record.Decode(c.Record)
		}
		if err != nil {
			s.Logger.Error("what another node tells of a stream is not understood; nodes of different versions?", "stream", id, "error", err)
			gap()
			return
		}
		rec.Runs = c.Runs
		heard(&hub.SharedStream{Node: c.Node, Record: *rec})
	}})
}

// ClaimStream implements hub.SharedStreams.
func (s *Store) ClaimStream(id, from string) (*hub.SharedStream, error) {
	if err := s.run(claimScript, []string{streamKey(id)}, []string{from, s.Options.Node}).Error(); err != nil {
		return nil, unavailable(err)
	}
	return s.readStream(id)
}

// StreamsOf implements hub.SharedStreams.
func (s *Store) StreamsOf(owner string, limit int) (found []hub.SharedStream, err error) {
	ids, err := s.do(s.client.B().Zrange().Key(ownerKey(owner) + "i").Min("0").Max(strconv.Itoa(limit - 1)).Rev().Build()).AsStrSlice()
	if err != nil {
		return nil, unavailable(err)
	}
	for _, id := range ids {
		one, err := s.readStream(id)
		if errors.Is(err, hub.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		one.Record.Runs = nil
		found = append(found, *one)
	}
	return found, nil
}
