package predict

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// FuzzComplete checks that the completion of any text is valid UTF-8 token by token, within the limits, deterministic,
// and fast enough.
func FuzzComplete(f *testing.F) {
	for _, tt := range golden {
		f.Add(tt.prefix, tt.suffix, "", int64(0))
	}
	f.Add("a\r\nb\r\na\r\n", "\r\n", "x", int64(1))
	f.Add("x \n\t ", "\t\n ", "\n", int64(-1))
	f.Add("é́ñ1 é́ñ2 é́ñ", "日本", "日本語1\n日本語2\n日本語", int64(7))
	f.Fuzz(func(t *testing.T, prefix, suffix, extra string, seed int64) {
		r := Request{
			Prefix: strings.ToValidUTF8(prefix, "?"), Suffix: strings.ToValidUTF8(suffix, "?"),
			Extra: []string{strings.ToValidUTF8(extra, "?")}, Seed: seed,
		}
		start := time.Now()
		c, err := New(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		lines, text := 0, ""
		for {
			line, err := c.Line(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if line == nil {
				break
			}
			if lines++; lines > maxLines+1 || len(line) > maxLine+2 {
				t.Fatalf("line %d has %d tokens", lines, len(line))
			}
			for _, tok := range line {
				if tok == "" || !utf8.ValidString(tok) {
					t.Fatalf("token %q", tok)
				}
				text += tok
			}
		}
		if d := time.Since(start); d > hubtest.Hung {
			t.Fatalf("took %v", d)
		}
		if again := run(t, r); again != text {
			t.Fatalf("%q, then %q", text, again)
		}
	})
}

func TestLexJoinsToTheText(t *testing.T) {
	for _, text := range []string{
		"", "a  b\n\n\tc12 ++'x'", strings.Repeat(" ", 1000) + "x", strings.Repeat("é", 1000),
		"\r\r\n \t", "a\u00a0b\u2028",
	} {
		var b strings.Builder
		for rest := []byte(text); len(rest) > 0; {
			tok := lex(rest)
			if tok.size == 0 || !utf8.Valid(rest[:tok.size]) {
				t.Fatalf("%q: token %q", text, rest[:tok.size])
			}
			b.Write(rest[:tok.size])
			rest = rest[tok.size:]
		}
		if b.String() != text {
			t.Errorf("%q became %q", text, b.String())
		}
	}
}

// TestHugeRequests checks that the cost is bounded for long texts, and for texts that resemble themselves everywhere.
func TestHugeRequests(t *testing.T) {
	for name, text := range map[string]string{
		"one letter":  strings.Repeat("a", 4<<20),
		"one word":    strings.Repeat("a ", 2<<20),
		"blank lines": strings.Repeat("\n", 4<<20),
		"one line":    strings.Repeat("x = f(x, 1)\n", 300000),
		"no names":    strings.Repeat("{[(", 1<<20),
		"quotes":      strings.Repeat("\"'", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			run(t, Request{Prefix: text, Suffix: text, Extra: []string{text}})
			if d := time.Since(start); d > hubtest.Hung {
				t.Errorf("took %v", d)
			}
		})
	}
}

func BenchmarkComplete(b *testing.B) {
	for _, tt := range []struct {
		name string
		n    int
	}{{"1KB", 3}, {"100KB", 300}, {"4MB", 12000}} {
		text := strings.Repeat(golden[8].prefix+"\n}\n\n", tt.n) + golden[8].prefix
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				run(b, Request{Prefix: text})
			}
		})
	}
}
