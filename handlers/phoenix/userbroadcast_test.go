package phoenix_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers/phoenix"
)

// userPush returns a frame as Supabase's client makes it.
func userPush(joinRef, ref, topic, event, metadata string, encoding byte, payload string) []byte {
	b := []byte{3}
	for _, s := range []string{joinRef, ref, topic, event, metadata} {
		b = append(b, byte(len(s)))
	}
	return append(append(b, encoding), joinRef+ref+topic+event+metadata+payload...)
}

func TestUserPushIsTheMessageInText(t *testing.T) {
	for _, c := range []struct {
		frame   []byte
		joinRef string
		topic   string
		payload string
	}{
		{
			userPush("1", "7", "realtime:a", "cursor", "", 1, `{"x":1}`), `"1"`, "realtime:a",
			`{"type":"broadcast","event":"cursor","payload":{"x":1}}`,
		},
		{
			userPush("", "7", "realtime:a", `say "é"`, `{"persist":true}`, 1, `[1]`), "", "realtime:a",
			`{"type":"broadcast","event":"say \"é\"","payload":[1]}`,
		},
		{
			userPush("1", "7", "realtime:a", "raw", "", 0, "hi\x00"), `"1"`, "realtime:a",
			`{"type":"broadcast","event":"raw","bytes":"aGkA"}`,
		},
		{
			userPush("1", "7", "realtime:a", "raw", "", 0, ""), `"1"`, "realtime:a",
			`{"type":"broadcast","event":"raw","bytes":""}`,
		},
		{
			userPush("1", "7", "realtime:zo\xeb", "caf\xe9", "", 1, "null"), `"1"`, "realtime:zoë",
			`{"type":"broadcast","event":"café","payload":null}`,
		},
	} {
		m, err := phoenix.DecodeBinary(c.frame)
		if err != nil || string(m.JoinRef) != c.joinRef || string(m.Ref) != `"7"` || m.Topic != c.topic ||
			m.Event != "broadcast" || string(m.Payload) != c.payload || m.Bytes != nil {
			t.Errorf("%q: %+v, %v", c.frame, m, err)
		}
	}
}

// What is wrong in a frame is said, with the refs and the topic that could be read.
func TestBadUserPush(t *testing.T) {
	whole := userPush("1", "7", "realtime:a", "e", "", 1, `{"x":1}`)
	for n := range len(whole) - len(`{"x":1}`) {
		if _, err := phoenix.DecodeBinary(whole[:n]); !errors.Is(err, phoenix.ErrFrame) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	for _, c := range []struct {
		encoding      byte
		payload, want string
	}{
		{1, `{"x":1`, "payload"},
		{1, `1,"event":"forged"`, "payload"},
		{1, "\"\xff\"", "payload"},
		{1, "", "payload"},
		{2, "{}", "encoding"},
	} {
		m, err := phoenix.DecodeBinary(userPush("1", "7", "realtime:a", "e", "", c.encoding, c.payload))
		if !errors.Is(err, phoenix.ErrFrame) || !strings.Contains(err.Error(), c.want) || string(m.Ref) != `"7"` ||
			m.Topic != "realtime:a" {
			t.Errorf("%q: %+v, %v", c.payload, m, err)
		}
	}
}

func TestUserBroadcastFrame(t *testing.T) {
	got, err := phoenix.AppendUserBroadcastFrame(nil, "realtime:a", "é", []byte("hi\x00"))
	if want := "\x04\x0a\x02\x00\x00realtime:aéhi\x00"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := phoenix.AppendUserBroadcastFrame(nil, "realtime:a", strings.Repeat("e", 256), nil); err == nil {
		t.Error("an event of 256 bytes was accepted")
	}
}

// FuzzUserPush: whatever is accepted is one message with one broadcast in it.
func FuzzUserPush(f *testing.F) {
	f.Add(userPush("1", "7", "realtime:a", "e", "", 1, `{"x":1}`))
	f.Add(userPush("", "7", "realtime:a", "e\xe9", "{}", 0, "hi"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) == 0 || frame[0] != 3 {
			return
		}
		m, err := phoenix.DecodeBinary(frame)
		if err != nil {
			if !errors.Is(err, phoenix.ErrFrame) {
				t.Fatal(err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(m.Payload, &members); err != nil || len(members) != 3 {
			t.Fatalf("%q: %q, %v", frame, m.Payload, err)
		}
		out := phoenix.AppendText(nil, phoenix.V2, m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload)
		if !json.Valid(out) {
			t.Fatalf("%q: %q", frame, out)
		}
	})
}
