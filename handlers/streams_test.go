package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

type receiptJSON struct {
	Position, Status string
	Watchers, Lag    int
	Cancelled        bool
}

func newTestStream(s *testServer, body string) string {
	s.t.Helper()
	return "/v1/streams/" + call[streamJSON](s, http.StatusCreated, "POST", "/v1/streams", body).ID
}

const ndjson = "Content-Type: application/x-ndjson"

func TestAppendFeedsBackAndEnds(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	const created = `{"kind":"analysis","id":"lint-1","content_type":"text/x-report"}`
	path := newTestStream(s, created)
	if path != "/v1/streams/lint-1" {
		t.Errorf("path %s", path)
	}
	if again := call[streamJSON](s, 200, "POST", "/v1/streams", created); again.ID != "lint-1" {
		t.Errorf("created again: %+v", again)
	}
	call[problem](
		s, http.StatusConflict, "POST", "/v1/streams", `{"id":"lint-1"}`, "Authorization: Bearer "+token(t, "v", "*=*"),
	)
	sub := s.stream("GET", path, "")
	sub.want("hello")
	r := call[receiptJSON](
		s, 200, "POST", path+"/append",
		`{"text":"héllo"}`+"\n"+`{"event":"analysis_update","issues":[{"line":1}]}`+"\n"+`{"event":"plain","data":7}`,
		ndjson,
	)
	if r.Watchers != 1 || r.Status != "running" || r.Cancelled || r.Position == "" {
		t.Errorf("%+v", r)
	}
	chunk := sub.want("chunk")
	if chunk.data != `{"text":"héllo","at":0}` {
		t.Errorf("%s", chunk.data)
	}
	if b := sub.want("analysis_update"); b.data != `{"issues":[{"line":1}]}` || b.id == "" {
		t.Errorf("%+v", b)
	}
	if b := sub.want("plain"); b.data != `7` {
		t.Errorf("%+v", b)
	}
	call[receiptJSON](s, 200, "POST", path+"/append", "raw text", "Content-Type: text/plain", "Stream-Closed: true")
	if b := sub.want("chunk"); b.data != `{"text":"raw text","at":6}` {
		t.Errorf("%s", b.data)
	}
	end := sub.want("end")
	if end.data != `{"status":"done","finish_reason":"stop","usage":null,"error":null}` {
		t.Errorf("%s", end.data)
	}
	if _, ok := sub.next(); ok { // the watcher has left before the response ends
		t.Error("the response goes on after end")
	}
	p := call[problem](s, http.StatusConflict, "POST", path+"/append", "late", "Content-Type: text/plain")
	if p.Code != "stream_ended" {
		t.Errorf("%+v", p)
	}
	st := call[streamJSON](s, 200, "GET", path, "")
	if st.Text != "hélloraw text" || len(st.Events) != 2 || st.Status != "done" || st.Watchers != 0 {
		t.Errorf("%+v", st)
	}
	if st.Account.Made != 4 || st.Account.Delivered != 4 || st.Account.Unwatched != 0 {
		t.Errorf("account %+v", st.Account)
	}
	part := call[streamJSON](s, 200, "GET", path+"?after="+chunk.id, "")
	if part.Text != "raw text" || part.At != 6 || part.Position != end.id {
		t.Errorf("%+v", part)
	}
}

func TestProducerTellsItsFailure(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`)
	call[receiptJSON](
		s, 200, "POST", path+"/append",
		`{"text":"a"}`+"\n"+`{"event":"end","status":"failed","error":{"code":"crashed","message":"segfault"}}`, ndjson,
	)
	if st := call[streamJSON](s, 200, "GET", path, ""); st.Status != "failed" || st.Error.Code != "crashed" ||
		st.Error.Message != "segfault" {
		t.Errorf("%+v", st)
	}
}

func TestProducerHeaders(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`) + "/append"
	send := func(epoch, seq int, text string) *http.Response {
		resp := s.do(
			"POST", path, text, "Content-Type: text/plain", "Producer-Id: p", fmt.Sprintf("Producer-Epoch: %d", epoch),
			fmt.Sprintf("Producer-Seq: %d", seq),
		)
		resp.Body.Close()
		return resp
	}
	for _, c := range []struct {
		epoch, seq, status int
		header, value      string
	}{
		{1, 0, 200, "Producer-Seq", "0"},
		{1, 0, 204, "Producer-Epoch", "1"},
		{1, 2, 409, "Producer-Expected-Seq", "1"},
		{1, 1, 200, "Duckwire-Status", "running"},
		{0, 0, 403, "Producer-Epoch", "1"},
		{2, 3, 400, "", ""},
		{2, 0, 200, "Producer-Epoch", "2"},
	} {
		resp := send(c.epoch, c.seq, "x")
		if got := resp.Header.Get(c.header); resp.StatusCode != c.status || c.header != "" && got != c.value {
			t.Errorf("epoch %d seq %d: %s, %s: %q; want %d, %q", c.epoch, c.seq, resp.Status, c.header, got, c.status, c.value)
		}
	}
	other := []string{"Content-Type: text/plain", "Producer-Id: q", "Producer-Epoch: 9", "Producer-Seq: 0"}
	if p := call[problem](s, 409, "POST", path, "x", other...); p.Code != "lease_held" {
		t.Errorf("%+v", p)
	}
	if p := call[problem](s, 400, "POST", path, "x", "Producer-Id: p", "Producer-Epoch: 1"); p.Field != "Producer-Seq" {
		t.Errorf("%+v", p)
	}
}

// TestLongUploadStreamsAndIsToldOfACancel: a long upload is read as it arrives. Readers see its text before the upload
// ends, and the producer is told of a cancellation during it.
func TestLongUploadStreamsAndIsToldOfACancel(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`)
	sub := s.stream("GET", path, "")
	sub.want("hello")
	body, producer := io.Pipe()
	req := s.request("PUT", path+"/append", "", "Content-Type: text/plain")
	req.Body, req.ContentLength = body, -1
	answer := make(chan string, 1)
	go func() {
		resp, err := s.Client().Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		answer <- resp.Header.Get("Duckwire-Cancelled") + " " + resp.Status + " " + string(raw)
	}()
	duck := []byte("🦆")
	_, _ = producer.Write(append([]byte("a"), duck[:2]...))
	if b := sub.want("chunk"); b.data != `{"text":"a","at":0}` {
		t.Errorf("half a duck was let out: %s", b.data)
	}
	_, _ = producer.Write(duck[2:])
	if b := sub.want("chunk"); b.data != `{"text":"🦆","at":1}` {
		t.Errorf("%s", b.data)
	}
	call[streamJSON](s, 200, "DELETE", path, "")
	go func() { _, _ = producer.Write([]byte("more")) }()
	got := <-answer
	producer.Close()
	if !strings.HasPrefix(got, "true 409") || !strings.Contains(got, "stream_ended") {
		t.Errorf("the producer was told %q", got)
	}
}

func TestJSONLongPollWaits(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		path := newTestStream(s, `{}`)
		start := call[streamJSON](s, 200, "GET", path, "")
		got := make(chan streamJSON)
		go func() { got <- call[streamJSON](s, 200, "GET", path+"?wait=20&after="+start.Position, "") }()
		synctest.Wait()
		call[receiptJSON](s, 200, "POST", path+"/append", "x", "Content-Type: text/plain")
		if st := <-got; st.Text != "x" || st.At != 0 {
			t.Errorf("%+v", st)
		}
		if st := call[streamJSON](s, 200, "GET", path+"?after=bad-1.7", ""); st.Reset == nil || st.Reset.Reason != "epoch" ||
			st.Text != "x" {
			t.Errorf("%+v", st)
		}
	})
}

// TestCurlResumesPlainText: curl prints a stream as it is produced, and resumes where it was cut.
func TestCurlResumesPlainText(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not on this machine")
	}
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`)
	text := strings.Repeat("0123456789é\n", 1000)
	call[receiptJSON](s, 200, "POST", path+"/append", text[:7000], "Content-Type: text/plain")
	file := filepath.Join(t.TempDir(), "out")
	run := func(ctx context.Context, args ...string) error {
		args = append(
			args, "-sS", "-H", "Authorization: Bearer "+token(t, "u", "*=*"), "-H", "Accept: text/plain", "-o", file,
			s.URL+path,
		)
		return exec.CommandContext(ctx, curl, args...).Run()
	}
	ctx, cut := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "-N") }()
	hubtest.Until(t, "curl to print what is there", func() bool {
		printed, err := os.Stat(file)
		return err == nil && printed.Size() == 7000
	})
	cut()
	if err := <-ended; err == nil {
		t.Error("curl came to an end of a stream that runs")
	}
	call[receiptJSON](s, 200, "POST", path+"/append", text[7000:], "Content-Type: text/plain", "Stream-Closed: true")
	if err := run(t.Context(), "-C", "-"); err != nil {
		t.Errorf("curl -C -: %v", err)
	}
	got, err := exec.CommandContext(t.Context(), "cat", file).Output()
	if err != nil || string(got) != text {
		t.Errorf("%v; %d bytes, want %d", err, len(got), len(text))
	}
}

func TestRanges(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`)
	call[receiptJSON](s, 200, "POST", path+"/append", "hello", "Content-Type: text/plain", "Stream-Closed: true")
	etag := ""
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		content string
		body    string
	}{
		{"whole", nil, 200, "", "hello"},
		{"from 2", []string{"Range: bytes=2-"}, 206, "bytes 2-4/5", "llo"},
		{"from 0", []string{"Range: bytes=0-"}, 206, "bytes 0-4/5", "hello"},
		{"at the end", []string{"Range: bytes=5-"}, 416, "bytes */5", ""},
		{"beyond", []string{"Range: bytes=99-"}, 416, "bytes */5", ""},
		{"live", []string{"Range: bytes=2-9007199254740991"}, 206, "bytes 2-4/5", "llo"},
		{"another unit", []string{"Range: lines=2-"}, 200, "", "hello"},
		{"several", []string{"Range: bytes=0-1,3-"}, 200, "", "hello"},
		{"a suffix", []string{"Range: bytes=-2"}, 200, "", "hello"},
		{"of another text", []string{"Range: bytes=2-", `If-Range: "x"`}, 200, "", "hello"},
		{"of this text", []string{"Range: bytes=2-", "If-Range: ETAG"}, 206, "bytes 2-4/5", "llo"},
		{"absurd", []string{"Range: bytes=99999999999999999999-"}, 400, "", ""},
	} {
		headers := append([]string{"Accept: text/plain"}, c.headers...)
		for i := range headers {
			headers[i] = strings.ReplaceAll(headers[i], "ETAG", etag)
		}
		resp := s.do("GET", path, "", headers...)
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		etag = resp.Header.Get("ETag")
		if resp.StatusCode != c.status || resp.Header.Get("Content-Range") != c.content || c.status < 300 &&
			string(body) != c.body {
			t.Errorf("%s: %s, %q, %q", c.name, resp.Status, resp.Header.Get("Content-Range"), body)
		}
	}
}

func TestPositionsThatCannotBeResumed(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`)
	position := call[receiptJSON](s, 200, "POST", path+"/append", "x", "Content-Type: text/plain").Position
	epoch, _, _ := strings.Cut(position, ".")
	for _, c := range []struct{ after, reason string }{{"other-1.1", "epoch"}, {epoch + ".9", "ahead"}} {
		sub := s.stream("GET", path, "", "Last-Event-ID: "+c.after)
		sub.want("hello")
		if r := parse[struct{ Reason, From string }](t, sub.want("reset")); r.Reason != c.reason || r.From != epoch+".0" {
			t.Errorf("%+v", r)
		}
		sub.want("chunk")
	}
	// The header wins over ?after=, which an EventSource repeats for ever; an empty header counts as absent.
	sub := s.stream("GET", path+"?after=other-1.1", "", "Last-Event-ID: "+position)
	if b := sub.want("hello"); !strings.Contains(b.data, `"recovered":true`) {
		t.Errorf("%s", b.data)
	}
	call[problem](s, 400, "GET", path+"?after=nonsense", "", "Accept: text/event-stream")
	call[receiptJSON](s, 200, "POST", path+"/append", "", "Stream-Closed: true")
	end := call[streamJSON](s, 200, "GET", path, "").Position
	for _, after := range []string{end, "now"} {
		for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
			resp := s.do("GET", path+"?after="+after, "", "Accept: "+accept)
			resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent {
				t.Errorf("finished, after %s as %s: %s", after, accept, resp.Status)
			}
		}
	}
}

// TestPrettyPrintedEntriesStayOnOneLine: line breaks in a producer's JSON do not break its readers' frames.
func TestPrettyPrintedEntriesStayOnOneLine(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	path := newTestStream(s, `{}`)
	call[receiptJSON](
		s, 200, "POST", path+"/append",
		"[{\"event\":\"note\",\n\"data\":{\"a\":\n1}},\n{\"event\":\"end\",\"usage\":{\n\"total_tokens\":\n2}}]",
		"Content-Type: application/json",
	)
	sub := s.stream("GET", path, "")
	sub.want("hello")
	if b := sub.want("note"); b.data != `{"a":1}` {
		t.Errorf("%s", b.data)
	}
	if b := sub.want("end"); !strings.Contains(b.data, `"usage":{"total_tokens":2}`) {
		t.Errorf("%s", b.data)
	}
}

// TestTextOfStreamsWithoutText: reading a stream as text ends with the stream, also if it has no text, or ended before.
func TestTextOfStreamsWithoutText(t *testing.T) {
	silent := scripted(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	})
	s := startServer(t, analyst{silent, noIssues}, hub.Limits{}, nil)
	newTestStream(s, `{"id":"empty"}`)
	s.expect(200, "POST", "/v1/streams/empty/append", "", "Stream-Closed: true", ndjson).Body.Close()
	newTestStream(s, `{"id":"text"}`)
	s.expect(200, "POST", "/v1/streams/text/append", `{"text":"abc"}`, "Stream-Closed: true", ndjson).Body.Close()
	completion := s.expect(200, "POST", chatPath, chatBody(""))
	completion.Body.Close()
	analysis := s.expect(202, "POST", "/v1/analyses", analysisJSON(""))
	analysis.Body.Close()
	for path, want := range map[string]string{
		"/v1/streams/empty": "", "/v1/streams/text": "abc", completion.Header.Get("Location"): "",
		analysis.Header.Get("Location"): "",
	} {
		for _, ask := range []string{path, path + "?format=text"} {
			resp := s.do("GET", ask, "", "Accept: text/plain")
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(text) != want {
				t.Errorf("%s: %v, %q; want %q", ask, err, text, want)
			}
		}
	}
}
