package middleware_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
)

// encode returns data in a coding: gzip, zlib or flate.
func encode(coding string, data []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	default:
		w, _ = flate.NewWriter(&b, flate.DefaultCompression) // a valid level
	}
	_, _ = w.Write(data) // writes to memory do not fail
	_ = w.Close()
	return b.Bytes()
}

// decode reads a body through DecodeBody, with a limit of 1,000 bytes.
func decode(body []byte, codings ...string) (string, *http.Request, error) {
	r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	r.Header["Content-Encoding"] = codings
	r, err := middleware.DecodeBody(r, 1000)
	if err != nil {
		return "", nil, err
	}
	got, err := io.ReadAll(r.Body)
	return string(got), r, err
}

func TestDecodeBody(t *testing.T) {
	text := []byte(`{"a":"é"}`)
	full := bytes.Repeat([]byte("x"), 1000)
	zip := encode("gzip", text)
	for name, c := range map[string]struct {
		codings []string
		body    []byte
		want    string
	}{
		"no coding":        {nil, text, string(text)},
		"identity":         {[]string{"identity"}, text, string(text)},
		"gzip":             {[]string{"gzip"}, zip, string(text)},
		"its old name":     {[]string{"X-GZip"}, zip, string(text)},
		"with identity":    {[]string{"identity , gzip", ""}, zip, string(text)},
		"two members":      {[]string{"gzip"}, append(bytes.Clone(zip), zip...), string(text) + string(text)},
		"deflate":          {[]string{"deflate"}, encode("zlib", text), string(text)},
		"raw deflate":      {[]string{"deflate"}, encode("flate", text), string(text)},
		"nothing":          {[]string{"gzip"}, nil, ""},
		"nothing, flated":  {[]string{"deflate"}, nil, ""},
		"nothing, plain":   {nil, nil, ""},
		"the limit, plain": {nil, full, string(full)},
		"the limit":        {[]string{"gzip"}, encode("gzip", full), string(full)},
	} {
		got, r, err := decode(c.body, c.codings...)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		if coded := middleware.PlainBody(r); coded != nil {
			t.Errorf("%s: the decoded request still has its coding: %v", name, coded)
		}
	}
}

func TestDecodeBodyRefuses(t *testing.T) {
	zip := encode("gzip", []byte(`{"a":1}`))
	empty := encode("gzip", nil)
	tooLarge := func(err error) bool {
		var e *errs.LimitError
		return errors.As(err, &e) && errors.Is(err, errs.ErrTooLarge) && e.Limit == 1000 && e.Setting() == "body_bytes"
	}
	invalid := func(err error) bool { return errors.Is(err, errs.ErrInvalid) }
	coding := func(err error) bool {
		return errors.Is(err, middleware.ErrCoding) && middleware.AcceptedCodings(err) == "gzip, deflate, identity" &&
			strings.Contains(err.Error(), "gzip, deflate, identity")
	}
	for name, c := range map[string]struct {
		coding string
		body   []byte
		is     func(error) bool
	}{
		"a bomb":                   {"gzip", encode("gzip", make([]byte, 1<<20)), tooLarge},
		"a bomb, flated":           {"deflate", encode("zlib", make([]byte, 1<<20)), tooLarge},
		"a byte too many":          {"gzip", encode("gzip", make([]byte, 1001)), tooLarge},
		"a byte too many, plain":   {"", make([]byte, 1001), tooLarge},
		"far too many, plain":      {"", make([]byte, 1<<20), tooLarge},
		"members without contents": {"gzip", bytes.Repeat(empty, 1000), tooLarge},
		"no gzip":                  {"gzip", []byte(`{"a":1}`), invalid},
		"no deflate":               {"deflate", []byte(`{"a":1}`), invalid},
		"one byte":                 {"deflate", []byte{0x78}, invalid},
		"cut":                      {"gzip", zip[:len(zip)-1], invalid},
		"a wrong sum":              {"gzip", append(bytes.Clone(zip[:len(zip)-8]), 0, 0, 0, 0, 7, 0, 0, 0), invalid},
		"something behind it":      {"gzip", append(bytes.Clone(zip), "rest"...), invalid},
		"Brotli":                   {"br", zip, coding},
		"twice":                    {"gzip, gzip", zip, coding},
		"two":                      {"deflate, gzip", zip, coding},
		"no name":                  {"\x01", zip, coding},
	} {
		if got, _, err := decode(c.body, c.coding); !c.is(err) {
			t.Errorf("%s: %.50q, %v", name, got, err)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Content-Encoding", "gzip")
	if err := middleware.PlainBody(r); middleware.AcceptedCodings(err) != "identity" {
		t.Errorf("PlainBody: %v", err)
	}
}

// TestDecodeBodyOfBrokenConnection: what breaks the connection is not blamed on the coding.
func TestDecodeBodyOfBrokenConnection(t *testing.T) {
	zip := encode("gzip", []byte(`{"a":1}`))
	for n := range len(zip) {
		broken := io.MultiReader(bytes.NewReader(zip[:n]), iotest.ErrReader(middleware.ErrSlowBody))
		r := httptest.NewRequest("POST", "/", broken)
		r.Header.Set("Content-Encoding", "gzip")
		r, err := middleware.DecodeBody(r, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(r.Body); !errors.Is(err, middleware.ErrSlowBody) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

// FuzzDecodeBody: whatever is sent, no more than the limit is read, and what was encoded is decoded.
func FuzzDecodeBody(f *testing.F) {
	f.Add("gzip", encode("gzip", []byte("text")))
	f.Add("deflate", encode("zlib", []byte("text")))
	f.Add("deflate", encode("flate", []byte("text")))
	f.Add("identity, x-gzip", []byte("text"))
	f.Fuzz(func(t *testing.T, coding string, body []byte) {
		got, _, err := decode(body, coding)
		if len(got) > 1000 {
			t.Fatalf("%d bytes", len(got))
		}
		if err != nil && !errors.Is(err, errs.ErrInvalid) && !errors.Is(err, middleware.ErrCoding) &&
			!errors.Is(err, errs.ErrTooLarge) {
			t.Fatalf("%q: %v", coding, err)
		}
		if len(body) <= 900 {
			if got, _, err := decode(encode("gzip", body), "gzip"); err != nil || got != string(body) {
				t.Fatalf("%q became %q, %v", body, got, err)
			}
		}
	})
}
