package handlers_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // writes to memory do not fail
	_ = w.Close()
	return b.String()
}

// utf16Text encodes a text, with the high byte at the place high of each two.
func utf16Text(text string, high int) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := [2]byte{}
		pair[high], pair[1-high] = byte(unit>>8), byte(unit)
		b = append(b, pair[:]...)
	}
	return string(b)
}

// TestEncodedBodies sends the body of every operation that takes JSON compressed, with a byte order mark, and in
// encodings that are not accepted.
func TestEncodedBodies(t *testing.T) {
	const limit = 20_000
	s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, func(o *handlers.Options) {
		o.BodyBytes, o.Rates.HeavyPerMinute = limit, -1
	})
	newTestStream(s, `{"id":"s1"}`)
	const br, zip = "Content-Encoding: br", "Content-Encoding: gzip"
	tried := 0
	for _, operation := range operations(t) {
		p := probes[operation]
		method, _, _ := strings.Cut(operation, " ")
		path := strings.ReplaceAll(p.path, "{stream}", "s1")
		isSocket, isAppend := strings.HasPrefix(path, "/socket/"), strings.HasSuffix(path, "/append")
		if p.body == "" {
			continue
		}
		tried++
		ask := func(body string, headers ...string) (int, string, http.Header) {
			t.Helper()
			if p.header != "" {
				headers = append(headers, p.header)
			}
			resp := s.do(method, path, body, headers...)
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(raw), resp.Header
		}
		expect := func(what string, want int, text, body string, headers ...string) {
			t.Helper()
			if status, answer, _ := ask(body, headers...); status != want || !strings.Contains(answer, text) {
				t.Errorf("%s, %s: %d %.300s; want %d …%s…", operation, what, status, answer, want, text)
			}
		}
		accepted := "gzip, deflate, identity"
		if isAppend {
			accepted = "identity"
		}
		status, answer, h := ask(p.body, br)
		if status != 415 || h.Get("Accept-Encoding") != accepted || !strings.Contains(answer, accepted) ||
			!strings.Contains(answer, "unsupported_coding") {
			t.Errorf("%s, br: %d %s %v", operation, status, answer, h)
		}
		expect("two codings", 415, accepted, p.body, "Content-Encoding: gzip, br")
		if isAppend {
			expect("gzip", 415, accepted, gzipped(p.body), zip)
			continue
		}
		usual, _, _ := ask(p.body)
		if usual == 201 || usual == 202 {
			usual, _, _ = ask(p.body) // what was made once may be there then
		}
		expect("gzip", usual, "", gzipped(p.body), zip)
		if isSocket {
			continue
		}
		expect("no gzip", 400, "is not valid gzip", p.body, zip)
		expect("a bomb", 413, "body_bytes", gzipped(`{"x":"`+strings.Repeat("x", limit)+`"}`), zip)
		if slices.Contains(handlers.DefaultUpstreamPaths, strings.TrimPrefix(path, "/v1/")) {
			continue // the upstream judges the bytes
		}
		expect("a byte order mark", usual, "", "\ufeff"+p.body)
		expect("a byte order mark, gzip", usual, "", gzipped("\ufeff"+p.body), zip)
		for high := range 2 {
			expect("UTF-16", 400, "UTF-8 is needed", utf16Text(p.body, high))
			expect("UTF-16 with a mark", 400, "UTF-8 is needed", utf16Text("\ufeff"+p.body, high))
		}
		expect("UTF-32", 400, "UTF-8 is needed", "{\x00\x00\x00}\x00\x00\x00")
		expect("Latin-1", 400, "not valid UTF-8", "{\"\xe9\":1}")
	}
	if tried < 10 {
		t.Errorf("%d operations with a body", tried)
	}
	if text := call[streamJSON](s, 200, "GET", "/v1/streams/s1", "").Text; text != "" {
		t.Errorf("a refused append was taken: %q", text)
	}
	for _, path := range []string{chatPath, "/v1/streams"} {
		resp := s.do("POST", path, "{}", br)
		var body struct{ Error *struct{ Message string } }
		_ = json.NewDecoder(resp.Body).Decode(&body) // no JSON has no error
		resp.Body.Close()
		if isDoor := path == chatPath; isDoor != (body.Error != nil) {
			t.Errorf("%s: %+v in the wrong format", path, body)
		}
	}
}

// TestRefusedBodiesOfSockets: a POST's body that is refused is the client's fault, and its session goes on.
func TestRefusedBodiesOfSockets(t *testing.T) {
	// eight messages of twice the payload's limit and 16 KiB
	const limit, heartbeat = 8 * (2*1024 + 16<<10), `[null,"1","phoenix","heartbeat",{}]`
	s := startServer(t, nil, hub.Limits{MessageBytes: 1024}, func(o *handlers.Options) { o.BodyBytes = 20_000 })
	app := "token=" + token(t, "a", "*=*")
	session := url.QueryEscape(s.poll("GET", app, "").Token)
	for _, c := range []struct{ body, longPoll, sse string }{
		{heartbeat, `200 {"status":400}`, `400 {`}, // no gzip
		{gzipped(heartbeat)[:20], `200 {"status":400}`, `400 {`},
		{gzipped(strings.Repeat("x", limit+1)), `200 {"status":413}`, `200 {"status":413}`},
		{gzipped(strings.Repeat("x", limit)), `200 {"status":200}`, `200 {"status":200}`}, // refused on the socket
		{gzipped(heartbeat), `200 {"status":200}`, `200 {"status":200}`},
	} {
		for path, want := range map[string]string{
			"/socket/longpoll?vsn=2.0.0&" + app + "&token=": c.longPoll,
			"/socket/sse?vsn=2.0.0&" + app + "&session=":    c.sse,
		} {
			resp := s.do("POST", path+session, c.body, "Authorization: ", "Content-Encoding: gzip",
				"Content-Type: application/x-ndjson")
			raw, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			got := fmt.Sprint(resp.StatusCode, " ", string(raw))
			if !strings.HasPrefix(got, want) || resp.StatusCode == 400 && !strings.Contains(got, "is not valid gzip") {
				t.Errorf("%.30s, %.20q: %s; want %s", path, c.body, got, want)
			}
		}
	}
}

// TestEncodedUpload: an upload of unknown length is refused before any of it is stored.
func TestEncodedUpload(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	stream := newTestStream(s, `{}`)
	body, feed := io.Pipe()
	defer feed.Close()
	r := s.request("POST", stream+"/append", "", "Content-Type: text/plain", "Content-Encoding: gzip")
	r.Body = body
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 415 {
		t.Error(resp.Status)
	}
	s.expect(200, "POST", stream+"/append", "text", "Content-Type: text/plain", "Content-Encoding: identity")
	if text := call[streamJSON](s, 200, "GET", stream, "").Text; text != "text" {
		t.Errorf("%q", text)
	}
}
