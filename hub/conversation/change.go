package conversation

import (
	"bytes"
	"encoding/json"

	"github.com/duckwire/duckwire/hub/errs"
)

const (
	longestContext = 16 << 10 // bytes, as JSON
	longestModel   = 200      // bytes; of a provider's name, too
)

// Cancel ends the answer that is being made, and reports how many there were. Its end is published to all.
func (s *Session) Cancel(user string) (n int, err error) {
	err = s.alone(func(r Record) error {
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

// Reset begins the conversation anew, for all its clients. It returns the new session id.
func (s *Session) Reset(user string) (sessionID string, err error) {
	err = s.alone(func(r Record) error {
		if _, err := s.cancelLocked(&r, user); err != nil {
			return err
		}
		return s.changeLocked(r, user, func(r *Record) error {
			r.Messages, r.Context, r.SessionID = nil, nil, newSessionID()
			sessionID = r.SessionID
			return nil
		}, s.service.words.Reset)
	})
	return sessionID, err
}

// MergeContext merges what a client knows into the conversation's context. Members that are null are taken out.
func (s *Session) MergeContext(user string, known map[string]json.RawMessage) error {
	return s.alone(func(r Record) error {
		return s.changeLocked(r, user, func(r *Record) error {
			r.Context = mergeContext(r.Context, known)
			return checkContext(r.Context)
		}, s.service.words.ContextChanged)
	})
}

// mergeContext returns a with b in it. A member of b that is null is taken out.
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

func checkContext(known map[string]json.RawMessage) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(known); err != nil {
		return errs.Invalid("context", "cannot be encoded: %v", err)
	}
	if n := b.Len() - len("\n"); n > longestContext {
		return errs.Invalid("context", "has %d bytes; at most %d are kept", n, longestContext)
	}
	return nil
}

// Prefer says which model the conversation's questions go to, unless they say otherwise.
func (s *Session) Prefer(p Preference) error {
	if p.Model == "" {
		return errs.Invalid("model", "is missing")
	}
	if len(p.Model) > longestModel || len(p.Provider) > longestModel {
		return errs.Invalid("model", "and provider must be at most %d bytes long", longestModel)
	}
	return s.alone(func(r Record) error {
		r.Model = p
		return s.saveLocked(&r)
	})
}

// Model returns the model that a question goes to, of which a client has said p.
func (s *Session) Model(p Preference) (Preference, error) {
	if p.Model != "" || p.Provider != "" {
		return p, nil
	}
	r, err := s.Record()
	return r.Model, err
}
