package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// fakeServer answers as openapi.yaml describes, from a script: it has one log of blocks, which can be read from any
// position and is cut where a test wants it.
type fakeServer struct {
	*httptest.Server
	client *client.Client

	mu       sync.Mutex
	epoch    string
	blocks   []fakeBlock
	finished bool     // the last block is a stream's end
	live     bool     // hold the connection open at the tail
	hb       int      // seconds; 0: 10
	expired  int      // messages of the queue
	script   []answer // for the next requests, before anything else
	cut      func(n int) (at int, clean bool)
	requests []string // METHOD path?query
	bodies   []map[string]any
	auth     []string
}

// fakeBlock is one entry of the log; one without an id is ephemeral.
type fakeBlock struct {
	name, data string
	ephemeral  bool
}

// answer writes a whole response.
type answer func(w http.ResponseWriter, r *http.Request)

func newFakeServer(t *testing.T) *fakeServer {
	f := &fakeServer{epoch: "e1"}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	f.client = client.New(f.URL, nil)
	f.client.Pace = 100 * time.Microsecond
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
		f.client.Close()
	})
	return f
}

func (f *fakeServer) retrier() *client.Retrier {
	return client.NewRetrier(f.client.Pace, hubtest.Hung, nil)
}

// chunks makes the log a finished stream of pieces of text.
func (f *fakeServer) chunks(pieces []string, status string) string {
	at := 0
	for _, p := range pieces {
		text, _ := json.Marshal(p)
		f.blocks = append(f.blocks, fakeBlock{name: sseclient.BlockChunk, data: fmt.Sprintf(`{"text":%s,"at":%d}`, text, at)})
		at += len(p)
	}
	f.end(status)
	return strings.Join(pieces, "")
}

func (f *fakeServer) end(status string) {
	f.blocks = append(f.blocks, fakeBlock{name: sseclient.BlockEnd, data: `{"status":"` + status + `","error":null}`})
	f.finished = true
}

// events makes the log n events of a topic.
func (f *fakeServer) events(topic string, n int) {
	for i := range n {
		f.blocks = append(f.blocks, fakeBlock{name: "tick", data: f.envelope(topic, i)})
	}
}

func (f *fakeServer) envelope(topic string, i int) string {
	return fmt.Sprintf(`{"id":"i%d","topic":"%s","event":"tick","payload":{"n":%d},"sender":"ada",`+
		`"time":"2026-11-23T00:00:00.000Z","position":"%s.%d"}`, i, topic, i, f.epoch, i+1)
}

// messages makes the log n messages of a queue.
func (f *fakeServer) messages(n int) {
	for i := range n {
		f.blocks = append(f.blocks, fakeBlock{data: f.message(i)})
	}
}

func (f *fakeServer) message(i int) string {
	return fmt.Sprintf(`{"id":"i%d","position":"%s.%d","topic":"user:ada","event":"note","payload":{"n":%d},`+
		`"sender":"ci","queued_at":"2026-11-23T00:00:00.000Z","expires_at":"2026-11-24T00:00:00.000Z"}`,
		i, f.epoch, i+1, i)
}

// page answers with at most two messages of the queue.
func (f *fakeServer) page(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, reset := f.place(r.URL.Query().Get("after"))
	page := queuePage{Messages: []json.RawMessage{}, Expired: f.expired}
	page.Position = fmt.Sprintf("%s.%d", f.epoch, min(from+2, len(f.blocks)))
	if f.expired > 0 {
		page.Through = f.epoch + ".0"
	}
	if reset {
		page.Reset = &struct {
			Reason string `json:"reason"`
		}{"epoch"}
	}
	for _, b := range f.blocks[from:min(from+2, len(f.blocks))] {
		page.Messages = append(page.Messages, json.RawMessage(b.data))
	}
	_ = json.NewEncoder(w).Encode(page) // fails only if the client has disconnected
}

func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI())
	f.auth = append(f.auth, r.Header.Get("Authorization"))
	var next answer
	if len(f.script) > 0 {
		next, f.script = f.script[0], f.script[1:]
	}
	f.mu.Unlock()
	switch {
	case next != nil:
		next(w, r)
	case r.Method == http.MethodPost:
		f.post(w, r)
	case r.URL.Path == "/v1/models":
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"duckwire-local","object":"model"}]}`)
	case r.Method == http.MethodDelete:
		_, _ = io.WriteString(w, `{"id":"cmp_1","status":"cancelled"}`)
	case strings.HasSuffix(r.URL.Path, "/messages") && r.Header.Get("Accept") == "application/json":
		f.page(w, r)
	case !strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		_, _ = io.WriteString(w,
			`{"id":"cmp_1","status":"done","text":"so far","kind":"completion","watchers":2,"topic":null}`)
	default:
		f.stream(w, r)
	}
}

func (f *fakeServer) post(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	f.mu.Lock()
	f.bodies = append(f.bodies, body)
	f.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/events"):
		fmt.Fprintf(w, `{"events":[{"id":%q,"position":"e1.7"}]}`, body["id"])
		return
	case strings.HasSuffix(r.URL.Path, "/messages"):
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"messages":[{"id":%q,"position":"e1.7"}]}`, body["id"])
		return
	case strings.HasSuffix(r.URL.Path, "/ack"):
		fmt.Fprintf(w, `{"through":%q}`, body["through"])
		return
	}
	w.Header().Set("Location", "/v1/streams/cmp_1")
	w.WriteHeader(http.StatusAccepted)
}

// stream answers with the log after the client's position.
func (f *fakeServer) stream(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	from, reset := f.place(r.URL.Query().Get("after"))
	if f.finished && from == len(f.blocks) {
		f.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body := f.render(from, reset)
	cut, live := f.cut, f.live
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	at, clean := len(body), true
	if cut != nil {
		at, clean = cut(len(body))
	}
	_, _ = io.WriteString(w, body[:min(at, len(body))])
	_ = http.NewResponseController(w).Flush()
	if !clean {
		panic(http.ErrAbortHandler)
	}
	if live && at >= len(body) {
		<-r.Context().Done()
	}
}

// place returns the index of a position. reset is true if the position is of another log.
func (f *fakeServer) place(after string) (from int, reset bool) {
	if after == "" || after == "0" {
		return 0, false
	}
	epoch, offset, _ := strings.Cut(after, ".")
	n, err := strconv.Atoi(offset)
	if epoch != f.epoch || err != nil || n > len(f.blocks) {
		return 0, true
	}
	return n, false
}

func (f *fakeServer) render(from int, reset bool) string {
	var b strings.Builder
	hb := max(f.hb, 1)
	if f.hb == 0 {
		hb = 10
	}
	fmt.Fprintf(&b, "event: hello\ndata: {\"position\":\"%s.%d\",\"recovered\":%t,\"now\":1,\"hb\":%d}\nretry: 1000\n\n",
		f.epoch, from, !reset, hb)
	if reset {
		fmt.Fprintf(&b, "event: reset\ndata: {\"reason\":\"epoch\",\"requested\":\"x\",\"from\":\"%s.0\"}\n\n", f.epoch)
	}
	for i, blk := range f.blocks[from:] {
		if i%3 == 1 {
			b.WriteString(":1732320000000\n")
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n", blk.name, blk.data)
		if !blk.ephemeral {
			fmt.Fprintf(&b, "id: %s.%d\n", f.epoch, from+i+1)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (f *fakeServer) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

// refuse answers with a problem document.
func refuse(status int, header ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"about:blank","title":"T","status":%d,`+
			`"code":"some_code","detail":"what is wrong","field":"f"}`, status)
	}
}

// sayBye answers with hello and a bye.
func sayBye(reason string, retry int) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: bye\ndata: {\"reason\":%q}\nretry: %d\n\n", reason, retry)
	}
}

// hang does not answer until the client disconnects.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http detects the disconnect only after the body was read
	<-r.Context().Done()
}

// randomPieces returns n pieces of text, each of one or a few words, many of them beyond ASCII.
func randomPieces(rng *rand.Rand, n int) []string {
	words := []string{
		"a", "\n", "func ", "é", "日本", "🦆", "\\", `"quoted"`, "\t", "\r\n", "data: x\n\n", "{}", "\u2028",
	}
	pieces := make([]string, n)
	for i := range pieces {
		for range 1 + rng.IntN(3) {
			pieces[i] += words[rng.IntN(len(words))]
		}
	}
	return pieces
}

func (f *fakeServer) posted() []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]map[string]any(nil), f.bodies...)
}

func (f *fakeServer) authorizations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.auth...)
}
