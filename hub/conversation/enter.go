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

// Entry is a client's request to enter a conversation. Title and Metadata only apply to a new conversation.
type Entry struct {
	User     string
	Title    string
	Metadata json.RawMessage // an object; nil: none
}

const (
	maxTitleLength   = 200     // characters
	maxMetadataBytes = 4 << 10 // bytes
)

func (e *Entry) check() error {
	switch {
	case utf8.RuneCountInString(e.Title) > maxTitleLength:
		return errs.Invalid("title", "must be at most %d characters long", maxTitleLength)
	case e.Metadata == nil:
	case e.Metadata[0] != '{':
		return errs.Invalid("metadata", "must be an object")
	case len(e.Metadata) > maxMetadataBytes:
		return errs.Invalid("metadata", "must be at most %d bytes long", maxMetadataBytes)
	}
	return nil
}

// Enter returns the session of a topic's conversation, which the caller must Release, and whether the conversation is
// new. For the lobby, that is the user's latest conversation, or a new one. Enter calls allowed to check whether the
// user may read the conversation: before it looks for the conversation, and again if the conversation is another
// user's, who may have created it in the meantime.
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

// open returns the session of a conversation, which it creates as e says if it does not exist.
func (cs *Service) open(id string, e *Entry) (s *Session, created bool, err error) {
	if s = cs.find(id); s != nil {
		return s, false, nil
	}
	r, err := cs.store.load(id)
	if r == nil && err == nil {
		r, err = cs.create(id, e)
		created = err == nil
	}
	if errors.Is(err, errs.ErrConflict) { // another client has created it meanwhile
		r, err = cs.store.load(id)
	}
	switch {
	case err != nil:
		return nil, false, err
	case r == nil:
		return nil, false, errExpired
	}
	return cs.use(r), created, nil
}

// errExpired is returned if a conversation expires while a client enters it.
var errExpired = fmt.Errorf("the conversation has just been forgotten; ask again: %w", errs.ErrUnavailable)

// create stores a new conversation. If the owner made the model of their previous conversation the default, the new one
// has it, too.
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
