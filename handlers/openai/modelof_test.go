package openai_test

import (
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/handlers/openai"
)

const (
	formType = `multipart/form-data; boundary="b-1"`
	formBody = "--b-1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n\x00\xff\r\n" +
		"--b-1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b-1--\r\n"
)

func TestModelOf(t *testing.T) {
	for _, c := range []struct{ media, body, want string }{
		{"application/json", `{"input":"x","model":"a/b"}`, "a/b"},
		{"application/json; charset=utf-8", ` {"model":"a"} `, "a"},
		{"application/json", `{"model":5}`, ""},
		{"application/json", `{"model":"a"`, ""},
		{"application/json", `["model"]`, ""},
		{"application/json", ``, ""},
		{"text/plain", `{"model":"a"}`, ""},
		{"", `{"model":"a"}`, ""},
		{formType, formBody, "whisper-1"},
		{formType, formBody[:40], ""},
		{"multipart/form-data", formBody, ""},
	} {
		if got := openai.ModelOf(c.media, []byte(c.body)); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.media, c.body, got, c.want)
		}
	}
}

// FuzzModelOf checks that any body is read without a panic, and gives text.
func FuzzModelOf(f *testing.F) {
	f.Add("application/json", []byte(`{"model":"a"}`))
	f.Add(formType, []byte(formBody))
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		if got := openai.ModelOf(media, body); !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
	})
}
