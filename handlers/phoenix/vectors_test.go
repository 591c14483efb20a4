package phoenix_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers/phoenix"
)

// vector is one frame of testdata/vectors.json. Each was verified with the official JavaScript client and with Phoenix
// 1.9.0-dev.
type vector struct {
	Name, Vsn, Direction, Frame string

	JSON, Hex, Body *string
	Decoded         *fields
	DecodedLines    []fields `json:"decoded_lines"`
	Valid           *bool
}

// fields are the contents of a frame.
type fields struct {
	JoinRef     json.RawMessage `json:"join_ref"`
	Ref         json.RawMessage `json:"ref"`
	Topic       json.RawMessage `json:"topic"`
	Event       string          `json:"event"`
	Status      string          `json:"status"` // of a binary reply
	Payload     json.RawMessage `json:"payload"`
	PayloadJSON *string         `json:"payload_json"` // if the exact bytes matter
	PayloadB64  *string         `json:"payload_b64"`  // of a binary frame
}

func readVectors(t testing.TB) (all []vector) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// bytes returns the frame. ok is false for a vector that has none.
func (v *vector) bytes(t testing.TB) (frame []byte, ok bool) {
	switch {
	case v.JSON != nil:
		return []byte(*v.JSON), true
	case v.Hex != nil:
		b, err := hex.DecodeString(*v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		return b, true
	case v.Body != nil:
		return []byte(*v.Body), true
	}
	return nil, false
}

func (v *vector) version() phoenix.Version {
	if v.Vsn == "1.0.0" {
		return phoenix.V1
	}
	return phoenix.V2
}

func TestVectors(t *testing.T) {
	all := readVectors(t)
	if len(all) != 114 {
		t.Fatalf("%d vectors, want 114", len(all))
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			frame, ok := v.bytes(t)
			switch {
			case !ok:
				testRefused(t, v.Decoded)
			case v.Frame == "longpoll-ndjson":
				testLines(t, &v)
			case v.Frame == "longpoll-json":
				testAnswer(t, &v)
			case v.Direction == "c2s":
				testUp(t, &v, frame)
			default:
				testDown(t, &v, frame)
			}
		})
	}
}

// loneSurrogate is a frame that Phoenix refuses. Here it is accepted, with U+FFFD instead of the lone surrogate.
const loneSurrogate = "bad_c2s_lone_surrogate"

// testUp decodes a client's frame.
func testUp(t *testing.T, v *vector, frame []byte) {
	before := bytes.Clone(frame)
	m, err := decodeUp(v.version(), v.Frame == "binary", frame)
	if v.Name == loneSurrogate {
		if err != nil || string(m.Payload) != `{"s":"\ufffd"}` || !bytes.Equal(frame, before) {
			t.Fatalf("%+v, %v; the frame is %s", m, err, frame)
		}
		return
	}
	if v.Valid != nil && !*v.Valid {
		if !errors.Is(err, phoenix.ErrFrame) {
			t.Fatalf("%+v, %v; want ErrFrame", m, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(frame, before) {
		t.Error("the decoder changed the frame")
	}
	equalMessage(t, m, v.Decoded)
	if v.Frame == "binary" {
		if again := appendUp(v.Decoded); !bytes.Equal(again, frame) {
			t.Errorf("the fields make %x, the frame is %x", again, frame)
		}
	}
}

func decodeUp(v phoenix.Version, binary bool, frame []byte) (phoenix.Message, error) {
	if binary {
		return phoenix.DecodeBinary(frame)
	}
	return phoenix.DecodeText(v, frame)
}

// appendUp encodes a client's binary push as the official client does.
func appendUp(f *fields) []byte {
	payload, _ := base64.StdEncoding.DecodeString(*f.PayloadB64)
	b := []byte{0}
	parts := []string{unquote(f.JoinRef), unquote(f.Ref), unquote(f.Topic), f.Event}
	for _, s := range parts {
		b = append(b, byte(len(s)))
	}
	for _, s := range parts {
		b = append(b, s...)
	}
	return append(b, payload...)
}

func unquote(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // null is ""
	return s
}

func equalMessage(t *testing.T, m phoenix.Message, want *fields) {
	t.Helper()
	topic := []byte(m.BadTopic)
	if topic == nil {
		topic, _ = json.Marshal(m.Topic)
	}
	equalJSON(t, "join_ref", m.JoinRef, want.JoinRef)
	equalJSON(t, "ref", m.Ref, want.Ref)
	equalJSON(t, "topic", topic, want.Topic)
	if m.Event != want.Event {
		t.Errorf("event %q, want %q", m.Event, want.Event)
	}
	switch {
	case want.PayloadB64 != nil:
		if got := base64.StdEncoding.EncodeToString(m.Bytes); got != *want.PayloadB64 || m.Bytes == nil || m.Payload != nil {
			t.Errorf("bytes %s (JSON %s), want %s", got, m.Payload, *want.PayloadB64)
		}
	case m.Bytes != nil:
		t.Error("a text frame has bytes")
	case want.PayloadJSON != nil:
		if string(m.Payload) != *want.PayloadJSON {
			t.Errorf("payload %s, want the bytes %s", m.Payload, *want.PayloadJSON)
		}
	default:
		equalJSON(t, "payload", m.Payload, want.Payload)
	}
}

// equalJSON compares two values including their types. nil is null.
func equalJSON(t *testing.T, what string, got, want json.RawMessage) {
	t.Helper()
	if !sameJSON(got, want) {
		t.Errorf("%s %s, want %s", what, got, want)
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if a != nil && json.Unmarshal(a, &x) != nil || b != nil && json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// testDown encodes the contents of a server's frame, and expects exactly its bytes. The decoder of these tests must
// reject frames that no client understands.
func testDown(t *testing.T, v *vector, frame []byte) {
	got, err := readDown(v.version(), v.Frame == "binary", frame)
	if v.Valid != nil && !*v.Valid {
		if err == nil {
			t.Errorf("%x was read as %+v", frame, got)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := appendDown(v.version(), v.Frame == "binary", got); err != nil || !bytes.Equal(out, frame) {
		t.Errorf("%v\ngot  %q\nwant %q", err, out, frame)
	}
	equalJSON(t, "join_ref", got.JoinRef, v.Decoded.JoinRef)
	equalJSON(t, "ref", got.Ref, v.Decoded.Ref)
	equalJSON(t, "topic", got.Topic, v.Decoded.Topic)
	if got.Event != v.Decoded.Event || got.Status != v.Decoded.Status {
		t.Errorf("event %q, status %q, want %q, %q", got.Event, got.Status, v.Decoded.Event, v.Decoded.Status)
	}
	if want := v.Decoded.PayloadB64; want != nil && *want != *got.PayloadB64 {
		t.Errorf("payload %s, want %s", *got.PayloadB64, *want)
	} else if want == nil {
		equalJSON(t, "payload", got.Payload, v.Decoded.Payload)
	}
}

// readDown decodes a server's frame as the official client does. It shares no code with the package.
func readDown(v phoenix.Version, binary bool, frame []byte) (*fields, error) {
	if binary {
		return readDownBinary(frame)
	}
	f := &fields{}
	if v == phoenix.V1 {
		return f, json.Unmarshal(frame, f)
	}
	var five []json.RawMessage
	if err := json.Unmarshal(frame, &five); err != nil || len(five) < 5 {
		return nil, fmt.Errorf("not five elements (%v)", err)
	}
	f.JoinRef, f.Ref, f.Topic, f.Event, f.Payload = five[0], five[1], five[2], unquote(five[3]), five[4]
	return f, nil
}

func readDownBinary(frame []byte) (*fields, error) {
	if len(frame) == 0 || frame[0] > 2 {
		return nil, errors.New("unknown kind")
	}
	n := []int{3, 4, 2}[frame[0]]
	if len(frame) < 1+n {
		return nil, errors.New("too short")
	}
	rest := frame[1+n:]
	var parts []string
	for _, size := range frame[1 : 1+n] {
		if len(rest) < int(size) {
			return nil, errors.New("too short")
		}
		parts = append(parts, string(rest[:size]))
		rest = rest[size:]
	}
	payload := base64.StdEncoding.EncodeToString(rest)
	f := &fields{PayloadB64: &payload}
	quote := func(s string) json.RawMessage { b, _ := json.Marshal(s); return b }
	switch frame[0] {
	case 0:
		f.JoinRef, f.Topic, f.Event = quote(parts[0]), quote(parts[1]), parts[2]
	case 1:
		f.JoinRef, f.Ref, f.Topic = quote(parts[0]), quote(parts[1]), quote(parts[2])
		f.Event, f.Status = "phx_reply", parts[3]
	case 2:
		f.Topic, f.Event = quote(parts[0]), parts[1]
	}
	return f, nil
}

// appendDown encodes with the package.
func appendDown(v phoenix.Version, binary bool, f *fields) ([]byte, error) {
	topic := unquote(f.Topic)
	if binary {
		payload, _ := base64.StdEncoding.DecodeString(*f.PayloadB64)
		switch {
		case f.Event == "phx_reply":
			return phoenix.AppendBinaryReply(nil, unquote(f.JoinRef), unquote(f.Ref), topic, f.Status, payload)
		case f.JoinRef != nil:
			return phoenix.AppendBinaryPush(nil, unquote(f.JoinRef), topic, f.Event, payload)
		}
		return phoenix.AppendBinaryBroadcast(nil, topic, f.Event, payload)
	}
	null := func(raw json.RawMessage) []byte {
		if string(raw) == "null" {
			return nil
		}
		return raw
	}
	var reply struct {
		Status   string
		Response json.RawMessage
	}
	switch {
	case f.Event != "phx_reply":
		return phoenix.AppendText(nil, v, null(f.JoinRef), null(f.Ref), topic, f.Event, f.Payload), nil
	case strings.Contains(string(f.Payload), "unmatched topic"):
		return phoenix.AppendUnmatched(nil, v, null(f.Ref), f.Topic), nil
	case json.Unmarshal(f.Payload, &reply) != nil:
		return nil, errors.New("a reply without status and response")
	}
	return phoenix.AppendReply(nil, v, null(f.JoinRef), null(f.Ref), topic, reply.Status, reply.Response), nil
}

// testRefused expects every binary encoder to refuse a string that is too long, and to leave dst unchanged.
func testRefused(t *testing.T, f *fields) {
	topic, before := unquote(f.Topic), []byte("before")
	if len(topic) != 256 {
		t.Fatalf("a topic of %d bytes", len(topic))
	}
	push, err1 := phoenix.AppendBinaryPush(before, "1", topic, "e", nil)
	reply, err2 := phoenix.AppendBinaryReply(before, "1", "2", "t", topic, nil)
	cast, err3 := phoenix.AppendBinaryBroadcast(before, "t", topic, nil)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, phoenix.ErrBinaryField) {
			t.Errorf("%v, want ErrBinaryField", err)
		}
	}
	if string(push)+string(reply)+string(cast) != "beforebeforebefore" {
		t.Errorf("%q, %q, %q", push, reply, cast)
	}
}

// testLines decodes a long-poll's POST.
func testLines(t *testing.T, v *vector) {
	lines := strings.Split(*v.Body, "\n")
	if len(lines) != len(v.DecodedLines) {
		t.Fatalf("%d lines, want %d", len(lines), len(v.DecodedLines))
	}
	for i, line := range lines {
		frame, binary := []byte(line), line[0] != '['
		if binary {
			frame, _ = base64.StdEncoding.DecodeString(line)
		}
		m, err := decodeUp(v.version(), binary, frame)
		if err != nil {
			t.Fatal(err)
		}
		equalMessage(t, m, &v.DecodedLines[i])
	}
}

// testAnswer decodes a long-poll's answer, and encodes the frames in it.
func testAnswer(t *testing.T, v *vector) {
	var answer struct{ Messages []string }
	if err := json.Unmarshal([]byte(*v.Body), &answer); err != nil || len(answer.Messages) != len(v.DecodedLines) {
		t.Fatalf("%d messages (%v), want %d", len(answer.Messages), err, len(v.DecodedLines))
	}
	for i, message := range answer.Messages {
		if out, err := appendDown(v.version(), false, &v.DecodedLines[i]); err != nil || string(out) != message {
			t.Errorf("%v\ngot  %s\nwant %s", err, out, message)
		}
	}
}

// TestPushLayoutsDiffer: the layout of a server's push differs from that of a client's push, though both have kind 0.
func TestPushLayoutsDiffer(t *testing.T) {
	down, err := phoenix.AppendBinaryPush(nil, "5", "room:lobby", "chunk", []byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x00\x01\x0a\x055room:lobbychunk\x01\x02"; string(down) != want {
		t.Errorf("down %q, want %q", down, want)
	}
	if m, err := phoenix.DecodeBinary(down); err == nil && m.Topic == "room:lobby" {
		t.Error("the server reads its own push as a client's")
	}
	up, err := phoenix.DecodeBinary([]byte("\x00\x01\x01\x0a\x0556room:lobbychunk\x01\x02"))
	if err != nil || string(up.JoinRef) != `"5"` || string(up.Ref) != `"6"` || up.Topic != "room:lobby" ||
		up.Event != "chunk" || string(up.Bytes) != "\x01\x02" {
		t.Errorf("up %+v, %v", up, err)
	}
	if up, err = phoenix.DecodeBinary([]byte("\x00\x00\x00\x01\x01te")); err != nil || up.Bytes == nil ||
		string(up.JoinRef) != `""` {
		t.Errorf("an empty binary push is not binary, or its join_ref is null: %+v, %v", up, err)
	}
}

func TestVersions(t *testing.T) {
	for vsn, want := range map[string]phoenix.Version{
		"2.0.0": phoenix.V2, "2.0.7": phoenix.V2, "2.0.1-rc.1": phoenix.V2, "2.0.0+build": phoenix.V2, "1.0.0": phoenix.V1,
		"1.0.3": phoenix.V1,
		"2.0":   0, "2": 0, "": 0, "2.1.0": 0, "1.1.0": 0, "3.0.0": 0, "2.0.0-dev": 0, "2.0.": 0, "2.0.x": 0, "2.0.00": 0,
		"2.0.01": 0, " 2.0.0": 0,
		"2.0.0 ": 0, "2.0.-1": 0, "2.0.0-": 0, "2.0.1-": 0, "2.0.0+": 0, "v2.0.0": 0, "2.0.0.0": 0, "2.0.1-a b": 0,
		"2.0.1-a..b": 0, "2.0.1-rc.1+b.2": phoenix.V2,
	} {
		v, ok := phoenix.ParseVersion(vsn, true)
		if ok != (want != 0) || ok && v != want {
			t.Errorf("%q: version %d, %v; want %d", vsn, v, ok, want)
		}
	}
	if v, ok := phoenix.ParseVersion("", false); !ok || v != phoenix.V1 {
		t.Errorf("absent: %d, %v; want 1.0.0", v, ok)
	}
}
