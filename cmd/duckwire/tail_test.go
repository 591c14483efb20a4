package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// tail runs a tail against f and returns its output.
func (f *fakeServer) tail(ctx context.Context, want tailing, topics ...string) (stdout, stderr string, err error) {
	var out, notes bytes.Buffer
	follow, err := want.follower(topics, &out, &notes)
	if err != nil {
		return "", "", err
	}
	follow.Client, follow.Retry = f.client, f.retrier()
	err = follow.Run(ctx)
	return out.String(), notes.String(), err
}

func wantTicks(topic string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "2026-11-23T00:00:00.000Z  %s  tick  ada  {\"n\":%d}\n", topic, i)
	}
	return b.String()
}

// TestTailSurvivesManyCuts cuts every connection somewhere: each event is printed once, in order.
func TestTailSurvivesManyCuts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 9))
		f := newFakeServer(t)
		f.events("code:x/y", 60)
		f.cut = func(int) (int, bool) { return rng.IntN(1200), rng.IntN(2) == 0 }
		out, notes, err := f.tail(t.Context(), tailing{sinceStart: true, limit: 60}, "code:x/y")
		if err != nil || out != wantTicks("code:x/y", 60) || notes != "" {
			t.Fatalf("seed %d: %v\n%s\n%s", seed, err, out, notes)
		}
		if f.seen()[0] != "GET /v1/topics/code:x%2Fy/events?after=0" {
			t.Errorf("first request %s", f.seen()[0])
		}
	}
}

// TestTailKeepsItsPlace begins at the end of an empty topic, and is cut before the first event: the events that are
// published meanwhile must not be lost.
func TestTailKeepsItsPlace(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.cut = func(n int) (int, bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.blocks) == 0 {
			f.events("code:x", 2)
		}
		return n, true
	}
	out, _, err := f.tail(t.Context(), tailing{limit: 2}, "code:x")
	if err != nil || out != wantTicks("code:x", 2) {
		t.Errorf("%v\n%s", err, out)
	}
	if f.seen()[1] != "GET /v1/topics/code:x/events?after=e1.0" {
		t.Errorf("second request %s", f.seen()[1])
	}
}

// TestTailTellsAReset: after a reset the tail goes on, and reports the gap.
func TestTailTellsAReset(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.events("code:x", 2)
	out, notes, err := f.tail(t.Context(), tailing{after: "old.5", limit: 2}, "code:x")
	if err != nil || out != wantTicks("code:x", 2) || !strings.Contains(notes, "events were missed (epoch)") {
		t.Errorf("%v\n%s\n%s", err, out, notes)
	}
}

// TestTailEphemeral checks that events without an id do not move the position.
func TestTailEphemeral(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.events("code:x", 3)
	f.blocks[1].ephemeral = true
	_, _, err := f.tail(t.Context(), tailing{sinceStart: true, limit: 2}, "code:x")
	if err != nil {
		t.Fatal(err)
	}
	follow, _ := (&tailing{sinceStart: true, limit: 2}).follower([]string{"code:x"}, &bytes.Buffer{}, &bytes.Buffer{})
	follow.Client, follow.Retry = f.client, f.retrier()
	if err := follow.Run(t.Context()); err != nil || follow.Cursor != "e1.1" {
		t.Errorf("%v, at %s", err, follow.Cursor)
	}
}

func TestTailManyTopics(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.events("code:b", 1)
	reset := `{"reason":"trimmed","topic":"code:a","from":"e9.3"}`
	f.blocks = append(f.blocks, fakeBlock{name: sseclient.BlockReset, data: reset, ephemeral: true},
		fakeBlock{name: "", data: f.envelope("code:a", 1)})
	out, notes, err := f.tail(t.Context(), tailing{asJSON: true, limit: 2}, "code:a", "code:b")
	if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"topic":"code:a"`) ||
		!strings.Contains(notes, "missed on code:a (trimmed)") {
		t.Errorf("%v\n%s\n%s", err, out, notes)
	}
	if f.seen()[0] != "GET /v1/events?topic=code%3Aa&topic=code%3Ab" {
		t.Errorf("request %s", f.seen()[0])
	}
}

// TestTailComesBack: the tail survives every failure that a retry may mend.
func TestTailComesBack(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.events("code:x", 1)
	f.script = []answer{
		refuse(503), sayBye("overloaded", 20), refuse(429, "Retry-After", "1"), sayBye("drain", 30), sayBye("max", 0),
		refuse(502),
	}
	began := time.Now()
	out, _, err := f.tail(t.Context(), tailing{limit: 1}, "code:x")
	if err != nil || out != wantTicks("code:x", 1) || len(f.seen()) != 7 {
		t.Errorf("%v after %d requests\n%s", err, len(f.seen()), out)
	}
	if took := time.Since(began); took < 1050*time.Millisecond {
		t.Errorf("took %s: Retry-After and retry were not kept", took)
	}
}

// TestTailGivesUp: the tail ends at the first answer that no retry can mend.
func TestTailGivesUp(t *testing.T) {
	t.Parallel()
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>welcome to this network</html>")
	}
	huge := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range sseclient.MaxBlock / 1000 {
			_, _ = io.WriteString(w, "data: "+strings.Repeat("x", 1017)+"\n")
		}
	}
	for name, c := range map[string]struct {
		answer answer
		want   string
	}{
		"400":      {refuse(400), "some_code: what is wrong (f)"},
		"401":      {refuse(401), "give a token with --token or DUCKWIRE_TOKEN"},
		"403":      {refuse(403), "the token does not allow it"},
		"404":      {refuse(404), "some_code: what is wrong"},
		"500":      {refuse(500), "some_code"},
		"204":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "over"},
		"no SSE":   {page, `no event stream, but 200 "text/html"`},
		"too long": {huge, "a block of more than 8MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			f.script = []answer{c.answer}
			_, _, err := f.tail(t.Context(), tailing{}, "code:x")
			if err == nil || !strings.Contains(err.Error(), c.want) || len(f.seen()) != 1 {
				t.Errorf("%v after %d requests", err, len(f.seen()))
			}
		})
	}
}

// TestTailNoticesSilence: the tail reconnects if nothing arrives on its connection, not even heartbeats.
func TestTailNoticesSilence(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.hb, f.live = 1, true
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, _, err := f.tail(ctx, tailing{}, "code:x")
		done <- err
	}()
	hubtest.Until(t, "a second request", func() bool { return len(f.seen()) > 1 })
	cancel()
	if err := hubtest.Recv(t, "tail to end", done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTailIsSafeForTerminals(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	data := `{"topic":"t","event":"a\u001b[2J","payload":"\u009b31m","sender":"é\nroot","time":"now"}`
	data = strings.ReplaceAll(data, `\u009b`, "\u009b") // JSON permits it unescaped
	f.blocks = []fakeBlock{{name: "x", data: data}}
	out, _, err := f.tail(t.Context(), tailing{limit: 1}, "t")
	if want := `now  t  a\x1b[2J  é\nroot  "\u009b31m"` + "\n"; err != nil || out != want {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
}
