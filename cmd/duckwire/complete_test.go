package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub/hubtest"
)

func prompt(text string) map[string]any {
	return map[string]any{"stream": true, "model": "", "prompt": text}
}

// TestCompleteSurvivesEveryCut cuts the first connection at every byte, cleanly and not; the text must be exact.
func TestCompleteSurvivesEveryCut(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	text := f.chunks(randomPieces(rand.New(rand.NewPCG(1, 1)), 8), "done")
	size := len(f.render(0, false))
	for _, clean := range []bool{true, false} {
		for n := range size {
			first := true
			f.cut = func(whole int) (int, bool) {
				if first {
					first = false
					return n, clean
				}
				return whole, true
			}
			var out bytes.Buffer
			s := &sseclient.Text{Out: &out}
			if err := s.Follow(t.Context(), f.client, "cmp_1", reachedRetrier(f)); err != nil || out.String() != text {
				t.Fatalf("cut at %d (clean %t): %v\ngot  %q\nwant %q", n, clean, err, out.String(), text)
			}
		}
	}
}

// reachedRetrier returns a retrier that has reached the server before, so that it takes a connection that is cut before
// its first byte for a restart.
func reachedRetrier(f *fakeServer) *client.Retrier {
	r := f.retrier()
	r.Contact()
	return r
}

// TestCompleteSurvivesManyCuts cuts every connection somewhere, until the whole text has arrived.
func TestCompleteSurvivesManyCuts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 7))
		f := newFakeServer(t)
		text := f.chunks(randomPieces(rng, 150), "done")
		f.cut = func(int) (int, bool) { return rng.IntN(900), rng.IntN(2) == 0 }
		var out bytes.Buffer
		if err := complete(t.Context(), f.client, prompt("x"), f.retrier(), &out); err != nil || out.String() != text {
			t.Fatalf("seed %d: %v\ngot  %q\nwant %q", seed, err, out.String(), text)
		}
		if n := len(f.seen()); n < 10 {
			t.Errorf("seed %d: only %d requests: nothing was cut", seed, n)
		}
	}
}

// TestCompleteStartsOnce lets the request that starts a completion fail in every way that a retry may mend: each
// attempt must have the same id.
func TestCompleteStartsOnce(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	text := f.chunks([]string{"a", "b"}, "done")
	lost := func(w http.ResponseWriter, r *http.Request) { // the stream begins, but the response is lost
		f.post(&discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	f.script = []answer{nil, refuse(503), refuse(502), lost, lost}
	var out bytes.Buffer
	if err := complete(t.Context(), f.client, prompt("x"), f.retrier(), &out); err != nil || out.String() != text {
		t.Fatalf("%v, %q", err, out.String())
	}
	ids := map[any]bool{}
	for _, b := range f.posted() {
		extra := b["duckwire"].(map[string]any)
		ids[extra["id"]] = true
		if extra["keep"] != "finish" || b["model"] != "duckwire-local" || b["prompt"] != "x" {
			t.Errorf("body %v", b)
		}
	}
	if len(ids) != 1 || len(f.posted()) != 3 {
		t.Errorf("%d starts with %d ids", len(f.posted()), len(ids))
	}
}

type discard struct{ head http.Header }

func (d *discard) Header() http.Header         { return d.head }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func TestCompleteEndings(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{
		"done": exitOK, "failed": exitFailed, "cancelled": exitFailed, "superseded": exitFailed, "interrupted": exitError,
	} {
		f := newFakeServer(t)
		f.chunks([]string{"half"}, status)
		var out bytes.Buffer
		err := complete(t.Context(), f.client, prompt("x"), f.retrier(), &out)
		if got := codeOf(err); got != want || out.String() != "half" {
			t.Errorf("%s: code %d, want %d (%v)", status, got, want, err)
		}
		if err != nil && !strings.Contains(err.Error(), status) {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func codeOf(err error) int {
	if err == nil {
		return exitOK
	}
	return exitCode(err)
}

// TestCompleteTellsAGap: the server loses its log between two connections.
func TestCompleteTellsAGap(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.chunks([]string{"one ", "two ", "three"}, "done")
	f.cut = func(n int) (int, bool) {
		f.epoch = "e2" // under mu? the next request sees it: the handler has let go of its lock
		return n - 120, true
	}
	var out bytes.Buffer
	err := complete(t.Context(), f.client, prompt("x"), f.retrier(), &out)
	if codeOf(err) != exitError || !strings.Contains(err.Error(), "reset: epoch") {
		t.Errorf("got %v", err)
	}
	if !strings.HasPrefix("one two three", out.String()) || out.Len() == 0 {
		t.Errorf("text %q", out.String())
	}
}

// TestCompleteLeftOutBytes: a faulty server skips text.
func TestCompleteLeftOutBytes(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.blocks = []fakeBlock{
		{name: sseclient.BlockChunk, data: `{"text":"a","at":0}`},
		{name: sseclient.BlockChunk, data: `{"text":"c","at":2}`},
	}
	f.end("done")
	var out bytes.Buffer
	err := complete(t.Context(), f.client, prompt("x"), f.retrier(), &out)
	if codeOf(err) != exitError || !strings.Contains(err.Error(), "left out bytes 1 to 2") {
		t.Errorf("got %v", err)
	}
}

// TestCompleteCancels interrupts a completion at each stage: it must end at once and cancel its stream.
func TestCompleteCancels(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]func(f *fakeServer, cancel func()){
		"while text comes": func(f *fakeServer, _ func()) { f.live, f.finished = true, false },
		"while waiting": func(f *fakeServer, _ func()) {
			f.script = []answer{nil, nil, refuse(429, "Retry-After", "60")}
		},
		"while connecting": func(f *fakeServer, cancel func()) {
			f.script = []answer{nil, nil, func(w http.ResponseWriter, r *http.Request) { cancel(); hang(w, r) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			f.chunks([]string{"a"}, "done")
			f.blocks = f.blocks[:1]
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			setup(f, cancel)
			retry := client.NewRetrier(f.client.Pace, time.Hour, func(error, time.Duration) { cancel() })
			out := writer(func(p []byte) (int, error) { cancel(); return len(p), nil })
			err := complete(ctx, f.client, prompt("x"), retry, out)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if seen := f.seen(); seen[len(seen)-1] != "DELETE /v1/streams/cmp_1" {
				t.Errorf("not cancelled: %q", seen)
			}
		})
	}
}

// writer is an io.Writer that calls a function.
type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestCompleteReaderGone: nobody reads the output any longer, so the stream is cancelled.
func TestCompleteReaderGone(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.chunks([]string{"a", "b"}, "done")
	err := complete(t.Context(), f.client, prompt("x"), f.retrier(), brokenPipe{})
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
	if seen := f.seen(); seen[len(seen)-1] != "DELETE /v1/streams/cmp_1" {
		t.Errorf("not cancelled: %q", seen)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestCompleteServerRestart stops the server in the middle, and starts another one at the same address.
func TestCompleteServerRestart(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	text := f.chunks(randomPieces(rand.New(rand.NewPCG(3, 3)), 20), "done")
	whole := f.blocks
	f.blocks, f.finished, f.live = whole[:9], false, true

	addr := testnet.FreeAddr(t)
	start := func() *http.Server {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(f.serve)}
		go func() { _ = srv.Serve(ln) }()
		return srv
	}
	first := start()
	f.client.Base = "http://" + addr

	var out bytes.Buffer
	completed := make(chan error, 1)
	go func() { completed <- complete(t.Context(), f.client, prompt("x"), f.retrier(), &out) }()
	hubtest.Until(t, "the POST, and the GET that follows the stream", func() bool { return len(f.seen()) > 1 })
	_ = first.Close()
	f.mu.Lock()
	f.blocks, f.finished, f.live = whole, true, false
	f.mu.Unlock()
	time.Sleep(50 * time.Millisecond) // so that connections are refused for a while
	defer start().Close()
	err := hubtest.Recv(t, "the completion to end", completed)
	if err != nil || out.String() != text {
		t.Errorf("%v\ngot  %q\nwant %q", err, out.String(), text)
	}
}

func TestCompletionBody(t *testing.T) {
	dir := inEmptyDir(t)
	write(t, dir, "before", "pre")
	write(t, dir, "after", "suf")
	for name, c := range map[string]struct {
		want           completion
		args           []string
		stdin          string
		prompt, suffix string
	}{
		"args":             {completion{}, []string{"a", "b"}, "no", "a b", ""},
		"stdin":            {completion{}, nil, "in\n", "in\n", ""},
		"prefix":           {completion{prefixFile: "before"}, nil, "no", "pre", ""},
		"prefix is stdin":  {completion{prefixFile: "-", suffixFile: "after"}, nil, "in", "in", "suf"},
		"suffix is stdin":  {completion{prefixFile: "before", suffixFile: "-"}, nil, "in", "pre", "in"},
		"only suffix":      {completion{suffixFile: "-"}, nil, "in", "", "in"},
		"stdin and suffix": {completion{suffixFile: "after"}, nil, "in", "in", "suf"},
	} {
		body, err := c.want.body(c.args, strings.NewReader(c.stdin))
		suffix, _ := body["suffix"].(string)
		if err != nil || body["prompt"] != c.prompt || suffix != c.suffix {
			t.Errorf("%s: %v, %v", name, body, err)
		}
	}
}

// TestCompletePatience cuts a connection that was silent for longer than the patience. The command must not give up,
// because the server was there all the time.
func TestCompletePatience(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.script = []answer{nil, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, f.render(0, false))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(1500 * time.Millisecond) // longer than the patience
		f.mu.Lock()
		defer f.mu.Unlock()
		f.chunks([]string{"late"}, "done")
	}}
	var out bytes.Buffer
	err := complete(t.Context(), f.client, prompt("x"), client.NewRetrier(f.client.Pace, time.Second, nil), &out)
	if err != nil || out.String() != "late" {
		t.Errorf("%v, %q", err, out.String())
	}
}

// TestCompleteServerForgot: after a restart the server no longer has the stream.
func TestCompleteServerForgot(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.chunks([]string{"half"}, "done")
	cutHere := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, strings.Split(f.render(0, false), "event: end")[0])
	}
	f.script = []answer{nil, nil, cutHere, refuse(404)}
	var out bytes.Buffer
	err := complete(t.Context(), f.client, prompt("x"), f.retrier(), &out)
	if codeOf(err) != exitError || !strings.Contains(err.Error(), "lost the stream after byte 4") ||
		out.String() != "half" {
		t.Errorf("%v, %q", err, out.String())
	}
}
