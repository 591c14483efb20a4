package jsonw_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// FuzzAppendString holds the encoder to encoding/json: it decodes to the same text, on one line.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1f\x7f", "é€🦆\u2028\u2029", "\xff\xc0a", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := jsonw.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q → %s: %v", s, b, err)
		}
		var want string
		std, _ := json.Marshal(s)
		_ = json.Unmarshal(std, &want)
		if got != want {
			t.Fatalf("%q → %s → %q, encoding/json makes it %q", s, b, got, want)
		}
		if back, ok := jsonw.String(b); !ok || back != want {
			t.Fatalf("String(%s) = %q, %v; want %q", b, back, ok, want)
		}
		if !utf8.Valid(b) || strings.ContainsAny(string(b), "\r\n\x00") {
			t.Fatalf("%q → %q", s, b)
		}
	})
}

func TestAppendStringDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst = jsonw.AppendString(dst[:0], "a \"line\"\n of text") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
