package phoenix_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/handlers/phoenix"
)

// FuzzDecodeText compares the decoder with encoding/json: both accept the same frames with the same contents, except
// that an event must be a string. What was decoded can be encoded again. What was refused can be answered.
func FuzzDecodeText(f *testing.F) {
	for _, v := range readVectors(f) {
		if frame, ok := v.bytes(f); ok && v.Frame == "text" {
			f.Add(false, frame)
			f.Add(true, frame)
		}
	}
	f.Fuzz(func(t *testing.T, v1 bool, frame []byte) {
		v := phoenix.V2
		if v1 {
			v = phoenix.V1
		}
		before := bytes.Clone(frame)
		m, err := phoenix.DecodeText(v, frame)
		if !bytes.Equal(frame, before) {
			t.Fatal("the decoder changed the frame")
		}
		if errors.Is(err, phoenix.ErrUTF8) != !utf8.Valid(frame) {
			t.Fatalf("%q: %v", frame, err)
		}
		if err != nil {
			answerable(t, v, &m)
		}
		if err != nil && !errors.Is(err, phoenix.ErrFrame) {
			return
		}
		five, ok := byTheBook(v, frame)
		if ok != (err == nil) {
			t.Fatalf("%q: %v; encoding/json says %v", frame, err, ok)
		}
		if !ok {
			return
		}
		var topic, event string
		topicIsText := five[2][0] == '"' && loneSurrogates(five[2]) == 0
		if topicIsText {
			_ = json.Unmarshal(five[2], &topic)
		}
		_ = json.Unmarshal(five[3], &event)
		if m.Topic != topic || topicIsText != (m.BadTopic == nil) || m.Event != event || m.Bytes != nil ||
			!samePayload(m.Payload, five[4]) || !sameRef(m.JoinRef, five[0]) || !sameRef(m.Ref, five[1]) {
			t.Fatalf("%q: %+v, want %q", frame, m, five)
		}
		if !topicIsText {
			out := phoenix.AppendUnmatched(nil, v, m.Ref, m.BadTopic)
			if back, err := phoenix.DecodeText(v, out); err != nil || !bytes.Equal(back.BadTopic, m.BadTopic) {
				t.Fatalf("%q → %q: %v", frame, out, err)
			}
			return
		}
		out := phoenix.AppendText(nil, v, m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload)
		back, err := phoenix.DecodeText(v, out)
		if v1 {
			m.JoinRef = nil
		}
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%q → %q → %+v, %v; want %+v", frame, out, back, err, m)
		}
	})
}

// answerable checks that a message that was refused can be answered with a frame of one line.
func answerable(t *testing.T, v phoenix.Version, m *phoenix.Message) {
	t.Helper()
	topic := []byte(m.BadTopic)
	if topic == nil {
		topic, _ = json.Marshal(m.Topic)
	}
	out := phoenix.AppendRefusal(nil, v, m.JoinRef, m.Ref, topic, []byte(`{}`))
	if _, err := phoenix.DecodeText(v, out); err != nil || bytes.ContainsAny(out, "\r\n") {
		t.Fatalf("%+v is answered with %q: %v", m, out, err)
	}
}

// sameRef compares a decoded ref with its JSON in the frame. It has no line feeds.
func sameRef(ref, raw json.RawMessage) bool {
	if ref == nil || raw == nil {
		return ref == nil && (raw == nil || string(raw) == "null")
	}
	return bytes.Equal(ref, raw) || bytes.Equal(ref, compact(raw))
}

func compact(raw []byte) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // it is valid
	return b.Bytes()
}

// samePayload compares a decoded payload with its JSON in the frame. It is the same but for lone surrogates.
func samePayload(payload, raw json.RawMessage) bool {
	if loneSurrogates(raw) == 0 {
		return bytes.Equal(payload, raw)
	}
	return len(payload) == len(raw) && loneSurrogates(payload) == 0 && reflect.DeepEqual(valueOf(payload), valueOf(raw))
}

func valueOf(raw []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	_ = d.Decode(&v) // it is valid
	return v
}

// byTheBook decodes a frame with encoding/json only.
func byTheBook(v phoenix.Version, frame []byte) (five [5]json.RawMessage, ok bool) {
	if v == phoenix.V2 {
		var all []json.RawMessage
		if json.Unmarshal(frame, &all) != nil || len(all) < 5 {
			return five, false
		}
		five = [5]json.RawMessage(all[:5])
		return five, five[3][0] == '"'
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(frame, &m) != nil {
		return five, false
	}
	five = [5]json.RawMessage{m["join_ref"], m["ref"], m["topic"], m["event"], m["payload"]}
	return five, five[1] != nil && five[2] != nil && five[3] != nil && five[4] != nil && five[3][0] == '"'
}

var escapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}|\\.`)

// loneSurrogates counts the unpaired surrogates in valid JSON. encoding/json replaces each by U+FFFD, so the decoded
// text has more of these than the JSON.
func loneSurrogates(text []byte) int {
	written := strings.Count(string(text), "\ufffd")
	for _, e := range escapes.FindAll(text, -1) {
		if bytes.EqualFold(e, []byte(`\ufffd`)) {
			written++
		}
	}
	tokens := json.NewDecoder(bytes.NewReader(text))
	tokens.UseNumber()
	read := 0
	for {
		token, err := tokens.Token()
		if err == io.EOF {
			return read - written
		}
		if err != nil {
			return 0 // not valid JSON
		}
		if s, ok := token.(string); ok {
			read += strings.Count(s, "\ufffd")
		}
	}
}

// FuzzDecodeBinary: a frame that is accepted equals the frame that its fields encode to.
func FuzzDecodeBinary(f *testing.F) {
	for _, v := range readVectors(f) {
		if frame, ok := v.bytes(f); ok && v.Frame == "binary" {
			f.Add(frame)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := phoenix.DecodeBinary(frame)
		if err != nil {
			if !errors.Is(err, phoenix.ErrFrame) {
				t.Fatal(err)
			}
			answerable(t, phoenix.V2, &m)
			return
		}
		parts := []string{unquote(m.JoinRef), unquote(m.Ref), m.Topic, m.Event}
		again := []byte{0}
		for _, s := range parts {
			again = append(again, byte(len(s)))
		}
		again = append(append(again, strings.Join(parts, "")...), m.Bytes...)
		if !bytes.Equal(again, frame) || m.Bytes == nil || m.Payload != nil || m.BadTopic != nil || !json.Valid(m.JoinRef) ||
			!json.Valid(m.Ref) {
			t.Fatalf("%x was read as %+v, which makes %x", frame, m, again)
		}
		for _, s := range parts {
			if !utf8.ValidString(s) {
				t.Fatalf("%x was read as %+v", frame, m)
			}
		}
		if _, err := phoenix.AppendBinaryReply(nil, parts[0], parts[1], parts[2], "ok", m.Bytes); err != nil {
			t.Fatalf("%x cannot be answered: %v", frame, err)
		}
	})
}
