package redis

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

//go:embed topic_lib.lua
var topicLib string

//go:embed topic_append.lua
var topicAppend string

//go:embed topic_check.lua
var topicCheck string

//go:embed topic_page.lua
var topicPage string

var (
	appendScript = newScript(contentLib, topicLib, topicAppend)
	checkScript  = newScript(contentLib, topicLib, topicCheck)
	pageScript   = newScript(contentLib, topicLib, topicPage)
)

// newEpoch returns an epoch for a log that needs a new one. It has the form of the hub's own, BOOT-N, because epochs
// also appear in a log.Vector.
func newEpoch() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return base64.RawURLEncoding.EncodeToString(b[:]) + "-0"
}

// AppendEvents implements hub.TopicStore.
func (s *Store) AppendEvents(topic string, events []hub.SharedEvent, limits hub.TopicLimits) ([]log.Position, error) {
	keys, args, err := s.appendCall(topic, events, limits)
	if err != nil {
		return nil, err
	}
	out, err := s.run(appendScript, keys, args).ToArray()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(out) < 2 {
		return nil, errAnswer
	}
	epoch, err := out[0].ToString()
	if err != nil {
		return nil, errAnswer
	}
	if epoch == "conflict" {
		return nil, idConflict(out[1].AsInt64())
	}
	if len(out) != 1+len(events) {
		return nil, errAnswer
	}
	positions := make([]log.Position, len(events))
	for i := range positions {
		n, err := out[1+i].AsInt64()
		if err != nil {
			return nil, errAnswer
		}
		if n > 0 {
			positions[i] = log.Position{Epoch: epoch, Offset: uint64(n)}
		}
	}
	return positions, nil
}

// CheckIDs implements hub.TopicStore.
func (s *Store) CheckIDs(topic string, events []hub.SharedEvent) error {
	keys, args, err := s.appendCall(topic, events, hub.TopicLimits{})
	if err != nil {
		return err
	}
	n, err := s.run(checkScript, keys, args).AsInt64()
	if err != nil {
		return unavailable(err)
	}
	if n > 0 {
		return idConflict(n, nil)
	}
	return nil
}

// idConflict returns the error for the n-th event or message of a call, as a script has returned n.
func idConflict(n int64, err error) error {
	if err != nil {
		return errAnswer
	}
	return &hub.IDConflictError{Index: int(n - 1)}
}

// appendCall returns the keys and arguments of topic_append.lua.
func (s *Store) appendCall(
	topic string, events []hub.SharedEvent, limits hub.TopicLimits,
) (keys, args []string, err error) {
	key := s.topicKey(topic)
	args = append(make([]string, 0, 8+4*len(events)),
		s.channel(key), newEpoch(),
		strconv.Itoa(limits.Events), strconv.FormatInt(limits.Bytes, 10), millis(limits.TTL),
		strconv.Itoa(limits.Ephemerals), millis(limits.EphemeralTTL),
		strconv.FormatInt(time.Now().UnixMilli(), 10))
	for i := range events {
		e := &events[i]
		raw, err := json.Marshal(e) // content_lib.lua finds the digest, which is the first member
		if err != nil {
			return nil, nil, err
		}
		kind, name := "-", ""
		switch {
		case e.Ephemeral:
			kind, name = "e", e.Sender+"\x00"+e.Event
		case e.Named:
			kind, name = "n", e.Sender+"\x00"+e.ID
		}
		args = append(args, kind, name, strconv.Itoa(len(raw)), rueidis.BinaryString(raw))
	}
	return []string{key + ":m", key + ":l", key + ":i", key + ":e"}, args, nil
}

// Events implements hub.TopicStore.
func (s *Store) Events(topic, epoch string, after uint64) (page hub.TopicPage, err error) {
	key := s.topicKey(topic)
	out, err := s.run(pageScript, []string{key + ":m", key + ":l", key + ":e"}, []string{
		newEpoch(), epoch, strconv.FormatUint(after, 10), strconv.Itoa(hub.PageBytes),
	}).ToArray()
	if err != nil {
		return page, unavailable(err)
	}
	r := scriptAnswer{values: out}
	page.Epoch = r.text()
	page.Before = parseBefore(r.text())
	page.Base, page.Tail, page.First = r.number(), r.number(), r.number()
	page.Events, page.Ephemerals = r.events(), r.events()
	return page, r.err
}

// parseBefore parses "EPOCH OFFSET EPOCH OFFSET …".
func parseBefore(text string) (before []log.Position) {
	words := strings.Fields(text)
	for i := 0; i+1 < len(words); i += 2 {
		offset, _ := strconv.ParseUint(words[i+1], 10, 64) // written by a script
		before = append(before, log.Position{Epoch: words[i], Offset: offset})
	}
	return before
}

// FollowTopic implements hub.TopicStore.
func (s *Store) FollowTopic(topic string, heard func(hub.EventBatch), gap func()) (stop func()) {
	return s.bus.follow(s.channel(s.topicKey(topic)), &follower{gap: gap, heard: func(message string) {
		batch, err := parseBatch(message)
		if err != nil {
			s.Logger.Error("events of another node cannot be parsed; do the nodes run different versions?",
				"topic", topic, "error", err)
			gap()
			return
		}
		heard(batch)
	}})
}

// parseBatch parses what topic_append.lua publishes: "EPOCH FIRST" and the events, one a line.
func parseBatch(message string) (b hub.EventBatch, err error) {
	head, rest, _ := strings.Cut(message, "\n")
	epoch, first, _ := strings.Cut(head, " ")
	b.Epoch = epoch
	if b.First, err = strconv.ParseUint(first, 10, 64); err != nil {
		return b, err
	}
	for line := range strings.SplitSeq(rest, "\n") {
		var e hub.SharedEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return b, err
		}
		b.Events = append(b.Events, e)
	}
	return b, nil
}

var errAnswer = errors.New("unexpected answer of a Redis script")

// unavailable wraps an error of Redis. The command may have run nevertheless.
func unavailable(err error) error {
	return fmt.Errorf("what the nodes share in Redis cannot be reached (it is tried again): %v: %w", err,
		errs.ErrUnavailable)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// scriptAnswer reads the values of a script's answer one after the other, up to the first error.
type scriptAnswer struct {
	values []rueidis.RedisMessage
	err    error
}

func (a *scriptAnswer) next() (m rueidis.RedisMessage, ok bool) {
	if len(a.values) == 0 {
		a.err = errAnswer
	}
	if a.err != nil {
		return m, false
	}
	m, a.values = a.values[0], a.values[1:]
	return m, true
}

func (a *scriptAnswer) text() (s string) {
	if m, ok := a.next(); ok {
		s, a.err = m.ToString()
	}
	return s
}

func (a *scriptAnswer) number() uint64 {
	m, ok := a.next()
	if !ok {
		return 0
	}
	n, err := m.AsInt64()
	a.err = err
	return uint64(n)
}

func (a *scriptAnswer) events() (events []hub.SharedEvent) {
	m, ok := a.next()
	if !ok {
		return nil
	}
	list, err := m.AsStrSlice()
	a.err = err
	for _, text := range list {
		var e hub.SharedEvent
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			a.err = err
		}
		events = append(events, e)
	}
	return events
}
