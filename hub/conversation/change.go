package conversation

import (
	"bytes"
	"encoding/json"

	"github.com/duckwire/duckwire/hub/errs"
)

const (
	maxContextBytes = 16 << 10 // bytes, as JSON
	maxModelBytes   = 200      // bytes; also of a provider's name
)

// Cancel cancels the running answer and publishes its end. It returns the number of answers: 1 or 0.
func (s *Session) Cancel(user string) (n int, err error) {
	err = s.withLock(func(r Record) error {
		n, err = s.cancelLocked(&r, user)
		return err
	})
	return n, err
}

func (s *Session) cancelLocked(r *Record, user string) (int, error) {
	if r.Running == nil {
		return 0, nil
	}
	x, err := s.running(r)
	if err != nil {
		return 0, err
	}
	if x.stream != nil {
		x.stream.Cancel(user)
	}
	return 1, x.concludeLocked(r)
}

// Reset deletes the messages and the context of the conversation, and returns its new session id.
func (s *Session) Reset(user string) (sessionID string, err error) {
	err = s.withLock(func(r Record) error {
		if _, err := s.cancelLocked(&r, user); err != nil {
			return err
		}
		return s.changeLocked(r, user, func(r *Record) error {
			r.Messages, r.Context, r.SessionID = nil, nil, newSessionID()
			sessionID = r.SessionID
			return nil
		}, s.service.vocabulary.Reset)
	})
	return sessionID, err
}

// MergeContext sets members of the conversation's context. Members that are null are deleted.
func (s *Session) MergeContext(user string, members map[string]json.RawMessage) error {
	return s.withLock(func(r Record) error {
		return s.changeLocked(r, user, func(r *Record) error {
			r.Context = mergeContext(r.Context, members)
			return checkContext(r.Context)
		}, s.service.vocabulary.ContextChanged)
	})
}

// mergeContext returns a with the members of b. A member that is null in b is omitted.
func mergeContext(a, b map[string]json.RawMessage) map[string]json.RawMessage {
	merged := make(map[string]json.RawMessage, len(a)+len(b))
	for _, part := range []map[string]json.RawMessage{a, b} {
		for name, value := range part {
			if string(value) == "null" {
				delete(merged, name)
			} else {
				merged[name] = value
			}
		}
	}
	return merged
}

func checkContext(members map[string]json.RawMessage) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(members); err != nil {
		return errs.Invalid("context", "cannot be encoded: %v", err)
	}
	if n := b.Len() - len("\n"); n > maxContextBytes {
		return errs.Invalid("context", "has %d bytes; at most %d are kept", n, maxContextBytes)
	}
	return nil
}

// Prefer sets the model of the conversation's questions that do not name one.
func (s *Session) Prefer(p Preference) error {
	if p.Model == "" {
		return errs.Invalid("model", "is missing")
	}
	if len(p.Model) > maxModelBytes || len(p.Provider) > maxModelBytes {
		return errs.Invalid("model", "and provider must be at most %d bytes long", maxModelBytes)
	}
	return s.withLock(func(r Record) error {
		r.Model = p
		return s.saveLocked(&r)
	})
}

// Model returns the model of a question: p if the client has named one, or that of the conversation.
func (s *Session) Model(p Preference) (Preference, error) {
	if p.Model != "" || p.Provider != "" {
		return p, nil
	}
	r, err := s.Record()
	return r.Model, err
}
