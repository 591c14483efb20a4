package hub

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/duckwire/duckwire/hub/errs"
)

// IDConflictError is a store's error for an event or message whose id its sender has used for another content. It
// matches ErrConflict.
type IDConflictError struct {
	Index int // in the call's events or messages
}

func (e *IDConflictError) Error() string { return "the id was used for another content" }

// Is reports that an IDConflictError is an ErrConflict.
func (e *IDConflictError) Is(target error) bool { return target == errs.ErrConflict }

// idConflict returns the error that callers get for an id that was used for another content. prefix is that of field
// names: "", or "events[3].".
func idConflict(prefix string) error {
	return &errs.FieldError{
		Field: prefix + "id", Kind: errs.ErrConflict,
		Reason: "you have used it for another event or payload; a new event needs a new id",
	}
}

// nameConflict turns a store's IDConflictError into idConflict. field names an event by its index.
func nameConflict(err error, field func(i int) string) error {
	var conflict *IDConflictError
	if errors.As(err, &conflict) {
		return idConflict(fieldPrefix(field(conflict.Index)))
	}
	return err
}

// fieldPrefix returns the prefix of the fields of an event or message of that name.
func fieldPrefix(name string) string {
	if name == "" {
		return ""
	}
	return name + "."
}

// digest returns a digest of what the checked event's id is bound to.
func (in *EventInput) digest() string {
	if in.Content != nil {
		return digest(in.Event, in.Content)
	}
	return digest(in.Event, in.Payload)
}

// Digest returns a digest of what the message's id is bound to: its topic, its event's name and its payload.
func (m *StoredMessage) Digest() string { return digest(m.Topic+" "+m.Event, m.Payload) }

// digest returns a digest of a name and a payload. Names have no spaces (ValidName, ValidTopic).
func digest(name string, payload []byte) string {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint32(len(name)))
	h.Write([]byte(name))
	h.Write(payload)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// idUse is the use of an id within one request.
type idUse struct{ user, id string }

// idsOfRequest remembers what the ids of one request are bound to. Its zero value is ready to use.
type idsOfRequest map[idUse]string

// use binds an id, and reports whether it was free or has the same content.
func (ids *idsOfRequest) use(id idUse, digest string) bool {
	if *ids == nil {
		*ids = make(idsOfRequest)
	}
	earlier, used := (*ids)[id]
	(*ids)[id] = digest
	return !used || earlier == digest
}
