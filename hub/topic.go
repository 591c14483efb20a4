package hub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/mirror"
)

// EventInput is one event to be published.
type EventInput struct {
	// ID makes publishing idempotent: an id of the same sender is published once, while the first event is retained. It
	// is bound to the event's name and Content: with others it is an ErrConflict. "": an id is generated.
	ID        string
	Event     string          // the name (ValidName)
	Payload   json.RawMessage // any JSON value; nil is {}
	Content   json.RawMessage // what ID is bound to if the server has added to the Payload, such as a time; nil: Payload
	Bytes     []byte          // the payload of a binary event, instead of Payload; in JSON it is {"bytes": BASE64}
	Ephemeral bool            // without history and position: only the newest of each sender and name is retained
	Durable   bool            // is stored in the queues of those users in To who do not read the topic
	To        []string        // user ids, for Durable
	Except    string          // the client that does not get the event (log.Event.Except); "": all get it
}

// Published is the result of publishing one event.
type Published struct {
	ID       string
	Position string // "" for an ephemeral event
}

// topic is a named log of events. It is created at its first use (topicRegistry) and expires when it has not been used
// for Limits.HistoryTTL. The log's lock guards all fields.
type topic struct {
	log.Log
	name string // static, as hub is
	hub  *Hub

	ids      map[eventKey]boundID // ids of retained events that their sender has given
	lastUsed time.Time            // of the last publish, or of the last time that a reader was closed
	dropped  bool                 // not in the registry any more: callers must look the topic up again

	eph              ephemerals
	ephemeralVersion atomic.Uint64 // eph.version, for readers without the lock

	mirror *mirror.Mirror[EventBatch] // nil until the first reader, and always if topics are local to the node

	presences     *presenceTable // nil: there are no presences, and no readers of presences
	readersByUser map[string]int // open readers whose user is known (TopicReader.ReadFor)
}

type eventKey struct{ sender, id string }

// boundID is what an id of a sender's stands for.
type boundID struct {
	offset uint64
	digest string // EventInput.digest
}

// publish appends events to the log of a single node, all or none. Errors: *IDConflictError; ErrClosed means that the
// topic was dropped: the caller must look it up again.
func (t *topic) publish(sender string, events []EventInput, now time.Time) ([]Published, error) {
	out := make([]Published, len(events))
	t.Lock()
	if t.dropped {
		t.Unlock()
		return nil, errs.ErrClosed
	}
	if err := t.checkIDs(sender, events); err != nil {
		t.Unlock()
		return nil, err
	}
	before := t.Size()
	for i := range events {
		out[i] = t.append(sender, &events[i], now)
	}
	t.trimToLimits(now)
	t.lastUsed = now
	t.hub.logBytes.Add(t.Size() - before)
	t.UnlockAndWake()
	return out, nil
}

// checkIDs returns an *IDConflictError if the id of an event is retained from the same sender with another content. t
// is locked.
func (t *topic) checkIDs(sender string, events []EventInput) error {
	for i := range events {
		in := &events[i]
		if in.ID == "" || in.Ephemeral {
			continue
		}
		if earlier, used := t.ids[eventKey{sender, in.ID}]; used && earlier.digest != in.digest() {
			return &IDConflictError{Index: i}
		}
	}
	return nil
}

// append appends one event to the log, or replaces the ephemeral event of its sender and name. An event whose id is
// retained from the same sender is not appended again: its first position is returned. t is locked.
func (t *topic) append(sender string, in *EventInput, now time.Time) Published {
	key := eventKey{sender, in.ID}
	if in.ID == "" {
		in.ID = ulid.Make().String()
	} else if earlier, used := t.ids[key]; used && !in.Ephemeral {
		return Published{ID: in.ID, Position: t.Position(earlier.offset).String()}
	}
	ev := &log.Event{Name: in.Event, Time: now, Bytes: in.Bytes, Except: in.Except}
	if in.Ephemeral {
		t.hub.counts.ephemerals.Add(1)
		putEnvelope(ev, t.name, sender, in, "")
		t.eph.put(sender, in.ID, ev, t.hub.limits.EphemeralKeys)
		t.ephemeralVersion.Store(t.eph.version)
		return Published{ID: in.ID}
	}
	position := t.Position(t.Tail() + 1).String()
	putEnvelope(ev, t.name, sender, in, position)
	t.Append(ev)
	t.hub.counts.events.Add(1)
	if key.id != "" {
		if t.ids == nil {
			t.ids = make(map[eventKey]boundID)
		}
		t.ids[key] = boundID{ev.Offset, in.digest()}
		ev.Sender, ev.ID = sender, in.ID
	}
	return Published{ID: in.ID, Position: position}
}

// trimToLimits drops events that exceed the topic's limits or have expired. t is locked.
func (t *topic) trimToLimits(now time.Time) {
	l := &t.hub.limits
	old := now.Add(-l.HistoryTTL)
	over := t.Len() - l.HistoryEvents
	bytes := t.Size() - l.HistoryBytes
	dropped := t.Trim(func(ev *log.Event) bool {
		if over <= 0 && bytes <= 0 && !ev.Time.Before(old) {
			return false
		}
		over, bytes = over-1, bytes-ev.Size()
		return true
	})
	for _, ev := range dropped {
		if ev.ID != "" {
			delete(t.ids, eventKey{ev.Sender, ev.ID})
		}
	}
	t.eph.expire(now.Add(-l.EphemeralTTL))
}

// putEnvelope sets ev.Data to the JSON object that clients get: the schema Envelope of openapi.yaml. in.Payload must be
// compact JSON.
func putEnvelope(ev *log.Event, topic, sender string, in *EventInput, position string) {
	b := make([]byte, 0, len(topic)+len(sender)+len(in.ID)+len(in.Event)+len(in.Payload)+len(position)+128)
	b = append(b, `{"id":`...)
	b = jsonw.AppendString(b, in.ID)
	b = append(b, `,"topic":`...)
	b = jsonw.AppendString(b, topic)
	b = append(b, `,"event":`...)
	b = jsonw.AppendString(b, in.Event)
	b = append(b, `,"payload":`...)
	ev.PayloadAt = len(b)
	b = append(b, in.Payload...)
	ev.PayloadEnd = len(b)
	b = append(b, `,"sender":`...)
	b = jsonw.AppendString(b, sender)
	b = append(b, `,"time":"`...)
	b = ev.Time.UTC().AppendFormat(b, TimeFormat)
	b = append(b, '"')
	if position != "" {
		b = append(b, `,"position":"`...)
		b = append(b, position...)
		b = append(b, '"')
	}
	ev.Data = append(b, '}')
}

// bytesPayload returns the JSON form of a binary payload.
func bytesPayload(b []byte) json.RawMessage {
	raw := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+len(`{"bytes":""}`))
	raw = append(raw, `{"bytes":"`...)
	raw = base64.StdEncoding.AppendEncode(raw, b)
	return append(raw, `"}`...)
}

// TimeFormat is the format of all times on the wire: RFC 3339 in UTC with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// check validates one event, and compacts its payload. In it, escapes of lone surrogates become U+FFFD, because other
// clients could not read them. field is its name in the request for errors ("events[3]", or "").
func (in *EventInput) check(field string, l *Limits) error {
	field = fieldPrefix(field)
	if err := ValidEvent(field+"event", in.Event); err != nil {
		return err
	}
	if in.ID != "" {
		if err := ValidName(field+"id", in.ID); err != nil {
			return err
		}
	}
	if err := in.checkDurable(field); err != nil {
		return err
	}
	size := len(in.Bytes)
	if in.Bytes != nil {
		in.Payload = bytesPayload(in.Bytes)
	} else {
		payload, err := compactJSON(in.Payload)
		if err != nil {
			return errs.Invalid(field+"payload", "%v", err)
		}
		in.Payload, size = jsonw.ReplaceLoneSurrogates(payload), len(payload)
	}
	if in.Content != nil {
		content, err := compactJSON(in.Content)
		if err != nil {
			return errs.Invalid(field+"payload", "%v", err)
		}
		in.Content = content
	}
	if size > l.MessageBytes {
		return l.PayloadTooLarge(field)
	}
	return nil
}

// PayloadTooLarge returns the *errs.LimitError of a payload above MessageBytes. field is the prefix of its name in the
// caller's request: it ends in '.', or is empty.
func (l *Limits) PayloadTooLarge(field string) error {
	return &errs.LimitError{
		Kind: errs.ErrTooLarge, Name: field + "payload in bytes (message_bytes)", Limit: int64(l.MessageBytes),
	}
}

var errNotUTF8 = errors.New("is not valid UTF-8")

// compactJSON validates and compacts a JSON value: the result is UTF-8 without newlines, so it can be copied into any
// frame without another check.
func compactJSON(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return json.RawMessage("{}"), nil
	}
	if !utf8.Valid(raw) {
		return nil, errNotUTF8
	}
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// MaxName is the length limit of event names and ids, in bytes.
const MaxName = 128

// ValidName returns nil if s may be an event's name or id: 1 to MaxName bytes of [A-Za-z0-9._~:-]. Its error, a
// *FieldError, names field.
func ValidName(field, s string) error {
	if s == "" || len(s) > MaxName {
		return errs.Invalid(field, "must be 1 to %d bytes long; got %d", MaxName, len(s))
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && !strings.ContainsRune("._~:-", rune(c)) || c >= utf8.RuneSelf {
			return errs.Invalid(field, "may hold only A-Z a-z 0-9 . _ ~ : -")
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
