package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// list runs a listing of the queue against f, and returns what it printed.
func (f *fakeServer) list(ctx context.Context, want queueListing) (stdout, stderr string, err error) {
	var out, notes bytes.Buffer
	want.user = "me"
	p := &messagePrinter{out: &out, notes: &notes, asJSON: want.asJSON, left: want.limit}
	err = want.run(ctx, f.client, p, f.retrier())
	return out.String(), notes.String(), err
}

// wantNotes returns the expected output for the messages from, from+1 … to-1.
func wantNotes(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "2026-11-23T00:00:00.000Z  e1.%d  user:ada  note  ci  {\"n\":%d}\n", i+1, i)
	}
	return b.String()
}

func TestQueueListReadsAllPages(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.messages(5)
	f.expired = 3
	out, notes, err := f.list(t.Context(), queueListing{})
	if err != nil || out != wantNotes(0, 5) {
		t.Errorf("%v\n%s", err, out)
	}
	if notes != "duckwire: messages that expired unread: 3; 'duckwire queue ack e1.0' says that you know\n" {
		t.Errorf("notes %q", notes) // reported once, no matter how many pages there are
	}
	out, _, err = f.list(t.Context(), queueListing{after: "e1.1", limit: 2})
	if err != nil || out != wantNotes(1, 3) {
		t.Errorf("%v\n%s", err, out)
	}
	out, notes, err = f.list(t.Context(), queueListing{after: "old.7", asJSON: true})
	if err != nil || strings.Count(out, "\n") != 5 || !strings.HasPrefix(out, f.message(0)+"\n") ||
		!strings.Contains(notes, "(epoch)") {
		t.Errorf("%v\n%s\n%s", err, out, notes)
	}
}

// TestQueueFollowSurvivesManyCuts cuts every connection somewhere: each message is printed once, in order.
func TestQueueFollowSurvivesManyCuts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 11))
		f := newFakeServer(t)
		f.messages(40)
		f.blocks[7] = fakeBlock{name: blockExpired, data: `{"expired":2,"through":"e1.3"}`, ephemeral: true}
		f.cut = func(int) (int, bool) { return rng.IntN(1500), rng.IntN(2) == 0 }
		f.script = []answer{refuse(http.StatusServiceUnavailable)}
		out, notes, err := f.list(t.Context(), queueListing{follow: true, limit: 39})
		if err != nil || out != wantNotes(0, 7)+wantNotes(8, 40) || strings.Count(notes, "expired unread: 2") != 1 {
			t.Fatalf("seed %d: %v\n%s\n%s", seed, err, out, notes)
		}
	}
}

// TestQueuePushIsIdempotent: if it is not known whether a message was accepted, it is sent again with the same id.
func TestQueuePushIsIdempotent(t *testing.T) {
	inEmptyDir(t)
	f := newFakeServer(t)
	lost := func(_ http.ResponseWriter, r *http.Request) {
		f.post(&discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	f.script = []answer{refuse(http.StatusServiceUnavailable), lost}
	code, out, errs := f.command(t, "", "queue", "push", "ada", "note")
	sent := f.posted()
	if code != 0 || out != "e1.7\n" || len(sent) != 2 || sent[0]["id"] == "" || sent[0]["id"] != sent[1]["id"] {
		t.Errorf("code %d, %q, %q, sent %v", code, out, errs, sent)
	}
}

// TestQueuePushTellsOfAFullQueue: a push to a full queue fails soon, because somebody may wait for the command.
func TestQueuePushTellsOfAFullQueue(t *testing.T) {
	inEmptyDir(t)
	f := newFakeServer(t)
	f.script = []answer{refuse(http.StatusTooManyRequests, "Retry-After", "90")}
	code, out, errs := f.command(t, "", "queue", "push", "ada", "note")
	if code != exitError || out != "" || !strings.Contains(errs, "try again in 1m30s") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
}
