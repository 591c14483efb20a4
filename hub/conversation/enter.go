package conversation

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
)

// Entry is what a client says that enters a conversation. All but the user counts for a new conversation only.
type Entry struct {
	User     string
	Title    string
	Metadata json.RawMessage // an object; nil for none
}

const (
	longestTitle    = 200     // characters
	longestMetadata = 4 << 10 // bytes
)

func (e *Entry) check() error {
	switch {
	case utf8.RuneCountInString(e.Title) > longestTitle:
		return errs.Invalid("title", "must be at most %d characters long", longestTitle)
	case e.Metadata == nil:
	case e.Metadata[0] != '{':
		return errs.Invalid("metadata", "must be an object")
	case len(e.Metadata) > longestMetadata:
		return errs.Invalid("metadata", "must be at most %d bytes long", longestMetadata)
	}
	return nil
}

// Enter returns the conversation of a topic, until its release; created says that it is new. The lobby's is the user's
// latest conversation, or a new one. allowed says whether the user may hear of the conversation. It is asked first, and
// again where somebody else has begun the conversation meanwhile.
func (cs *Service) Enter(topic string, e Entry, allowed func() error) (s *Session, created bool, err error) {
	if err := e.check(); err != nil {
		return nil, false, err
	}
	id := strings.TrimPrefix(topic, TopicPrefix)
	if topic == LobbyTopic {
		if id, err = cs.lobby(e.User); err != nil {
			return nil, false, err
		}
	}
	if err := allowed(); err != nil {
		return nil, false, err
	}
	if s, created, err = cs.open(id, &e); err != nil {
		return nil, false, err
	}
	if s.owner != e.User {
		if err := allowed(); err != nil {
			s.Release()
			return nil, false, err
		}
	}
	return s, created, nil
}

// lobby returns the id of the user's latest conversation, or a new id.
func (cs *Service) lobby(user string) (string, error) {
	id, err := cs.store.latest(user)
	if id == "" && err == nil {
		id = newUUID()
	}
	return id, err
}

// open returns the conversation of that id, until its release, or the new one that e describes.
func (cs *Service) open(id string, e *Entry) (s *Session, created bool, err error) {
	if s = cs.find(id); s != nil {
		return s, false, nil
	}
	r, err := cs.store.load(id)
	if r == nil && err == nil {
		r, err = cs.create(id, e)
		created = err == nil
	}
	if errors.Is(err, errs.ErrConflict) { // somebody else has begun it meanwhile
		r, err = cs.store.load(id)
	}
	switch {
	case err != nil:
		return nil, false, err
	case r == nil:
		return nil, false, errForgotten
	}
	return cs.use(r), created, nil
}

// errForgotten is for a client that enters at the moment at which a conversation is forgotten.
var errForgotten = fmt.Errorf("the conversation has just been forgotten; ask again: %w", errs.ErrUnavailable)

// create stores a new conversation. Its model is the one that its owner has made the default in the conversation
// before.
func (cs *Service) create(id string, e *Entry) (*Record, error) {
	before, err := cs.store.latest(e.User)
	if err != nil {
		return nil, err
	}
	r := &Record{
		ID: id, Owner: e.User, Title: e.Title, Metadata: e.Metadata, SessionID: newSessionID(), Used: time.Now(),
	}
	if last, err := cs.store.load(before); err == nil && last != nil && last.Model.Default {
		r.Model = last.Model
	}
	return r, cs.store.save(r)
}

// newUUID returns a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newSessionID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return "session_" + hex.EncodeToString(b[:])
}
