package hub_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

func TestValidTopic(t *testing.T) {
	for _, s := range []string{
		"lobby", "code:project:42", "code:file:lib/a.ex", "stream:cmp_01J", "user:7", "user:a@b.example", "a",
		"phoenix:x", "Phoenix", "code:file:/abs/path (1).go", "code:file:../x", "code:file:a/...b/c",
		"code:file:ünïcödé/日本.go", "code:file:a b", "a:b:c:d:e", "%2F~+=&,;!'$[]{}|<>^`\"\\", "conversation:🦆",
		strings.Repeat("a", hub.MaxTopic),
	} {
		if err := hub.ValidTopic(s); err != nil {
			t.Errorf("ValidTopic(%q): %v", s, err)
		}
	}
	for _, s := range []string{
		"", "phoenix", "*", "code:*", "a?b", "a#b", " a", "a ", ":", ":a", "a:", "a::b", "a\nb", "a\x00", "a\x7f",
		"a\tb", "a\u0085b", "a\u2028b", "a\u202eb", "a\u00a0b", "a\xff", "\xc0\x80", "..", ".", "a/../b", "a/./b",
		"a/..", "code:file:x/..", strings.Repeat("a", hub.MaxTopic+1), strings.Repeat("é", 128),
	} {
		err := hub.ValidTopic(s)
		var field *errs.FieldError
		if !errors.As(err, &field) || field.Field != "topic" || !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("ValidTopic(%q): %v", s, err)
		}
	}
}

// FuzzValidTopic checks what other packages rely on for each valid name.
func FuzzValidTopic(f *testing.F) {
	for _, s := range []string{"code:project:42", "phoenix", "a/../b", "é:日本", "\xff", ":", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := hub.ValidTopic(s)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) || !utf8.ValidString(err.Error()) || len(err.Error()) > 200 {
				t.Fatalf("ValidTopic(%q): %q", s, err)
			}
			return
		}
		if s == "" || len(s) > 255 || !utf8.ValidString(s) || strings.TrimSpace(s) != s ||
			strings.ContainsAny(s, "*?#\r\n\x00") || strings.ContainsFunc(s, unicode.IsControl) {
			t.Fatalf("ValidTopic(%q) is nil", s)
		}
		for segment := range strings.SplitSeq(s, ":") {
			if segment == "" {
				t.Fatalf("%q has an empty segment", s)
			}
		}
		// A topic's name, used as a pattern, matches only itself.
		if !strings.Contains(s, "{sub}") {
			caps, err := rights.ParseCaps(map[string][]string{s: {"publish"}}, "u")
			if err != nil || !caps.Allows(s, rights.ActionPublish) || caps.Allows(s+"x", rights.ActionPublish) {
				t.Fatalf("%q as a pattern is not itself", s)
			}
		}
	})
}
