package jsonw_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/jsonw"
)

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                    `""`,
		"plain <b>&":          `"plain <b>&"`,
		"q\" b\\ n\n r\r t\t": `"q\" b\\ n\n r\r t\t"`,
		"\x00\x1f\x7f":        "\"\\u0000\\u001f\x7f\"",
		"a\u2028b\u2029":      `"a\u2028b\u2029"`,
		"é€😀":                 `"é€😀"`,
		"bad\xff\xc3":         `"bad\ufffd\ufffd"`,
		"\ufffd":              "\"\ufffd\"",
	} {
		if got := string(jsonw.AppendString(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
		if got := string(jsonw.AppendString([]byte("x"), []byte(in))); got != "x"+want {
			t.Errorf("%q as bytes: %s, want x%s", in, got, want)
		}
	}
}

func TestWalkOrderAndDuplicates(t *testing.T) {
	var got []string
	obj := []byte(" { \"a\" : 1 , \"b\\u0063\":[{\"x\":\"}\"}, 2 ],\"a\":\"\\\"}\" , \"n\":null}\n")
	for k, v := range jsonw.Members(obj) {
		got = append(got, string(k)+"="+string(v))
	}
	if want := []string{"a=1", `bc=[{"x":"}"}, 2 ]`, `a="\"}"`, "n=null"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	got = nil
	for v := range jsonw.Elements([]byte(` [1, [2,3] ,{"a":[]},"," ]`)) {
		got = append(got, string(v))
	}
	if want := []string{"1", "[2,3]", `{"a":[]}`, `","`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWalkDeep(t *testing.T) {
	const depth = 9000
	raw := []byte(`{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"b":1}`)
	members := maps.Collect(func(yield func(string, string) bool) {
		for k, v := range jsonw.Members(raw) {
			yield(string(k), string(v))
		}
	})
	if len(members["a"]) != 2*depth || members["b"] != "1" {
		t.Errorf("walked %d members, a of %d bytes", len(members), len(members["a"]))
	}
}

// FuzzWalk compares the walkers with encoding/json.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{
		`{"a":{"b":[1,"x\\\""]},"a":null}`, `[1,{"k":[]},"]"]`, `{}`, `[]`, ` 12 `,
		`{"\ud800":1}`, `{"\"":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for k, v := range jsonw.Members(raw) { // must neither panic nor loop for ever
			_, _ = k, v
		}
		for v := range jsonw.Elements(raw) {
			_ = v
		}
		if !json.Valid(raw) {
			return
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) == nil && object != nil {
			got := map[string]json.RawMessage{}
			for k, v := range jsonw.Members(raw) {
				got[strings.ToValidUTF8(string(k), "\ufffd")] = v
			}
			if len(got) != len(object) && utf8.Valid(raw) {
				t.Fatalf("%d members, want %d in %q", len(got), len(object), raw)
			}
			for k, v := range object {
				if utf8.Valid(raw) && !bytes.Equal(got[k], v) {
					t.Fatalf("%q: %q, want %q", k, got[k], v)
				}
			}
		}
		var array []json.RawMessage
		if json.Unmarshal(raw, &array) == nil && array != nil {
			got := slices.Collect(jsonw.Elements(raw))
			if !slices.EqualFunc(got, array, func(a []byte, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
				t.Fatalf("%q, want %q", got, array)
			}
		}
	})
}

func TestReplaceLoneSurrogates(t *testing.T) {
	for text, want := range map[string]string{
		``:                            ``,
		`{"a":"b\n\\"}`:               `{"a":"b\n\\"}`,
		`"\ud83d\ude00"`:              `"\ud83d\ude00"`,
		`"\uD83D\uDE00\uD83d"`:        `"\uD83D\uDE00\ufffd"`,
		`"\ude00\ud83d"`:              `"\ufffd\ufffd"`,
		`"\ud83dx\ud83d\ud83d\ude00"`: `"\ufffdx\ufffd\ud83d\ude00"`,
		`{"\udfff":["\\ud83d"]}`:      `{"\ufffd":["\\ud83d"]}`,
		`"\ud7ff\ue000\ud83d\u0041"`:  `"\ud7ff\ue000\ufffd\u0041"`,
	} {
		before := []byte(text)
		got := jsonw.ReplaceLoneSurrogates(before)
		if string(got) != want || string(before) != text {
			t.Errorf("%s became %s, want %s; the text is %s now", text, got, want, before)
		}
	}
}
