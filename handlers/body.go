package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
)

// decodeBody is middleware.DecodeBody, but skips a body that is refused.
func (s *server) decodeBody(r *http.Request, limit int64) (*http.Request, error) {
	plain, err := middleware.DecodeBody(r, limit)
	if err != nil {
		s.skipBody(r)
	}
	return plain, err
}

// readBytes reads a request's whole body, of any media type, and decodes its content coding.
func (s *server) readBytes(r *http.Request) ([]byte, error) {
	plain, err := s.decodeBody(r, s.BodyBytes)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(plain.Body)
	if err != nil {
		if !errors.Is(err, middleware.ErrSlowBody) {
			s.skipBody(r)
		}
		return nil, errReading(err)
	}
	return raw, nil
}

// readBody reads a request's whole JSON body, and removes a byte order mark and white space around it.
func (s *server) readBody(r *http.Request) ([]byte, error) {
	raw, err := s.readBytes(r)
	if err != nil {
		return nil, err
	}
	if isUTF16(raw) {
		return nil, errs.Invalid("body", "is encoded in UTF-16 or UTF-32; UTF-8 is needed")
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) // as RFC 8259 §8.1 allows
	if !utf8.Valid(raw) {
		return nil, errs.Invalid("body", "is not valid UTF-8")
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return nil, errs.Invalid("body", "is empty; a JSON object is needed")
	}
	return raw, nil
}

// skipBody reads the rest of a body that is refused. Many clients read no answer before they have sent all of it, and
// net/http would close the connection under them. A body that is too large, or of unknown length, is not read.
func (s *server) skipBody(r *http.Request) {
	if r.ContentLength <= s.BodyBytes {
		_, _ = io.CopyN(io.Discard, r.Body, max(r.ContentLength, 0)) // fails only if the client is gone
	}
}

// errReading returns the error to answer with if a body could not be read.
func errReading(err error) error {
	if isRefused(err) {
		return err
	}
	return errBody(err)
}

// isRefused reports whether a body could not be read because of what is in it: it is too large, or not in its coding.
func isRefused(err error) bool {
	return errors.Is(err, errs.ErrTooLarge) || errors.Is(err, errs.ErrInvalid)
}

// isUTF16 reports whether a JSON text is encoded in UTF-16 or UTF-32: it has their byte order mark, or a zero byte
// beside its first character, which is always an ASCII one (RFC 4627 §3).
func isUTF16(raw []byte) bool {
	return bytes.HasPrefix(raw, []byte("\xff\xfe")) || bytes.HasPrefix(raw, []byte("\xfe\xff")) ||
		bytes.IndexByte(raw[:min(len(raw), 2)], 0) >= 0
}

// readJSON decodes a request's body into v, which must be a pointer to a struct.
func (s *server) readJSON(r *http.Request, v any) error {
	raw, err := s.readBody(r)
	if err != nil {
		return err
	}
	return decodeStrict(raw, v, "")
}

// decodeStrict decodes one JSON value into v. Unknown members and wrong types are errors that name the member; root is
// the name of the value itself.
func decodeStrict(raw []byte, v any, root string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err := dec.Token(); err != io.EOF {
			return errs.Invalid("body", "holds more than one JSON value")
		}
		return nil
	}
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		field := strings.Trim(root+"."+typed.Field, ".")
		if field == "" {
			field = "body"
		}
		return errs.Invalid(field, "must be %s, not a JSON %s", jsonKind(typed.Type.Kind().String()), typed.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return errs.Invalid(strings.Trim(name, `"`), "is not a known member")
	}
	return errs.Invalid("body", "is not valid JSON: %v", err)
}

// jsonKind returns the JSON type of a Go kind.
func jsonKind(kind string) string {
	switch {
	case kind == "string":
		return "a string"
	case kind == "bool":
		return "true or false"
	case kind == "slice":
		return "an array"
	case strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "float"):
		return "a number"
	}
	return "an object"
}

// readBatch decodes a body that is a T, an array of T, or {"NAME": […]}.
func readBatch[T any](s *server, r *http.Request, name string) ([]T, error) {
	raw, err := s.readBody(r)
	if err != nil {
		return nil, err
	}
	var batch []T
	if raw[0] == '[' {
		err = decodeStrict(raw, &batch, name)
		return batch, err
	}
	var members map[string]json.RawMessage
	if raw[0] == '{' && json.Unmarshal(raw, &members) == nil && members[name] != nil {
		for other := range members {
			if other != name {
				return nil, errs.Invalid(other, "is not a known member beside %s", name)
			}
		}
		err = decodeStrict(members[name], &batch, name)
		return batch, err
	}
	batch = make([]T, 1)
	err = decodeStrict(raw, &batch[0], "")
	return batch, err
}

// payloadBody is the payload of an event or a message: a JSON value, or bytes in base64.
type payloadBody struct {
	Payload json.RawMessage `json:"payload"`
	Bytes   *[]byte         `json:"bytes"`
}

// read returns the bytes; nil for a JSON payload.
func (b *payloadBody) read() ([]byte, error) {
	switch {
	case b.Bytes == nil:
		return nil, nil
	case b.Payload != nil:
		return nil, errs.Invalid("bytes", "stands in place of payload; give one of the two")
	}
	return *b.Bytes, nil
}
