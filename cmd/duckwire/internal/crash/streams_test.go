package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// letter is what stands at byte i of stream n: every piece of text can be checked by itself.
func letter(n, i int) byte {
	return 'a' + byte(uint32(i*2654435761+n*40503)>>20%26)
}

func content(n, from, to int) string {
	b := make([]byte, 0, to-from)
	for i := from; i < to; i++ {
		b = append(b, letter(n, i))
	}
	return string(b)
}

const streams = 3

// streamTrial is a number of streams whose producers and watchers live through kills.
type streamTrial struct {
	t *testing.T
	s *server

	moves bool // the stream may become another node's, without a kill

	over    atomic.Bool // producers end their streams
	resets  atomic.Int64
	resumes atomic.Int64
	takings atomic.Int64 // of a stream by its next producer
}

// TestKillStreams kills the server while programs append to streams and others watch. A stream is found again with a beginning of its text, its
// producer takes it on by a higher epoch, and watchers go on exactly, or are told to begin anew.
func TestKillStreams(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	s := newServer(t)
	s.start()
	tr := &streamTrial{t: t, s: s}
	for n := range streams {
		c := s.client("owner")
		if status, answer := c.call("POST", "/v1/streams", fmt.Sprintf(`{"id":"s%d"}`, n), nil); status != http.StatusCreated {
			t.Fatal(status, answer)
		}
	}
	s.stop() // so that the streams have been saved: a stream that nobody has is no stream
	s.start()
	var work sync.WaitGroup
	for n := range streams {
		work.Go(func() { tr.produce(n, rand.New(rand.NewPCG(seed, uint64(n)))) })
		work.Go(func() { tr.watch(n, rand.New(rand.NewPCG(seed, uint64(100+n)))) })
	}
	rng := rand.New(rand.NewPCG(seed, 1000))
	for range kills() / 2 {
		time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond) // some longer than it takes until a stream is saved
		s.kill()
		s.start()
		for n := range streams {
			tr.inspect(n)
		}
	}
	tr.over.Store(true)
	work.Wait()
	s.stop()
	t.Logf("%d kills, %d streams, taken on %d times, %d connections of watchers, %d resets",
		kills()/2, streams, tr.takings.Load(), tr.resumes.Load(), tr.resets.Load())
}

// streamJSON is a stream as GET answers it.
type streamJSON struct {
	Status, Text string
	Bytes        int
}

// inspect looks at a stream that a crash has left.
func (tr *streamTrial) inspect(n int) {
	var st streamJSON
	status, answer := tr.s.client("owner").call("GET", fmt.Sprintf("/v1/streams/s%d", n), "", &st, "Accept", "application/json")
	switch {
	case status != http.StatusOK:
		tr.t.Errorf("stream %d after a crash: %d %s", n, status, answer)
	case st.Status != "interrupted" && st.Status != "running":
		tr.t.Errorf("stream %d after a crash is %s", n, st.Status)
	case st.Text != content(n, 0, st.Bytes):
		tr.t.Errorf("stream %d: the text is not what was written", n)
	}
}

// produce appends to a stream until the trial is over, and takes it on whenever it was interrupted.
func (tr *streamTrial) produce(n int, rng *rand.Rand) {
	c := tr.s.client("owner")
	path := fmt.Sprintf("/v1/streams/s%d", n)
	for epoch := 1; !tr.t.Failed(); epoch++ {
		var st streamJSON
		if status, _ := c.call("GET", path, "", &st, "Accept", "application/json"); status != http.StatusOK {
			time.Sleep(5 * time.Millisecond) // a client does not try again at once
			continue
		}
		tr.takings.Add(1)
		life := tr.s.lives.Load()
		at := st.Bytes
		for seq := 0; ; seq++ {
			piece := content(n, at, at+1+rng.IntN(200))
			header := []string{"Content-Type", "text/plain", "Producer-Id", "p", "Producer-Epoch", strconv.Itoa(epoch), "Producer-Seq", strconv.Itoa(seq)}
			last := tr.over.Load()
			if last {
				header = append(header, "Stream-Closed", "true")
			}
			status, answer := c.call("POST", path+"/append", piece, nil, header...)
			if status == http.StatusOK && last {
				return
			}
			if status != http.StatusOK {
				restarted := tr.moves || tr.s.lives.Load() != life // between two appends, so that the second finds its stream interrupted: 403, fenced
				if status != 0 && status < 500 && status != http.StatusConflict && status != http.StatusNotFound && !restarted {
					tr.t.Errorf("append: %d %s", status, answer)
					return
				}
				if tr.moves && (status == 0 || status >= 500) {
					time.Sleep(time.Second) // it may have been taken, by a node of which this one hears a moment later
				}
				break
			}
			at += len(piece)
			time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond) // text comes in its own time
		}
	}
}

// watch follows a stream over cuts and kills to its end. What it has must at all times be a beginning of the text.
func (tr *streamTrial) watch(n int, rng *rand.Rand) {
	c := tr.s.client("watcher")
	var w watched
	for !tr.t.Failed() {
		if tr.watchOnce(c, n, rng, &w) {
			return
		}
		time.Sleep(time.Duration(1+rng.IntN(5)) * time.Millisecond) // a client does not come back at once
	}
}

// watched is what a watcher has of a stream.
type watched struct {
	have int    // bytes
	last string // position
	done bool   // the stream is known to be done
}

// watchOnce is one connection, which is cut as long as producers write. It reports whether the stream is done, and all of it is
// here.
func (tr *streamTrial) watchOnce(c *client, n int, rng *rand.Rand, w *watched) (done bool) {
	cut := time.Duration(20+rng.IntN(300)) * time.Millisecond
	if tr.over.Load() {
		cut = hubtest.Hung
	}
	ctx, cancel := context.WithTimeout(tr.t.Context(), cut)
	defer cancel()
	header := []string{"Accept", "text/event-stream"}
	if w.last != "" {
		header = append(header, "Last-Event-ID", w.last)
	}
	resp, err := c.http.Do(c.request("GET", fmt.Sprintf("/v1/streams/s%d", n), "", header...).WithContext(ctx))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	tr.resumes.Add(1)
	if resp.StatusCode == http.StatusNoContent && tr.over.Load() {
		if w.done {
			return tr.isDone(c, n, w.have)
		}
		w.done = tr.state(c, n).Status == "done" // it may have come to be since: the next 204 is of a stream that is
		return false
	}
	events := eventstream.NewReader(resp.Body, 0)
	for resp.StatusCode == http.StatusOK {
		ev, err := events.Next()
		if err != nil {
			break
		}
		var data struct {
			Text, Status string
			At           int
		}
		if err := json.Unmarshal(ev.Data, &data); err != nil {
			tr.t.Errorf("%s: %v", ev.Data, err)
		}
		switch ev.Type {
		case "reset":
			tr.resets.Add(1)
			w.have = 0
		case "chunk":
			if data.At != w.have || data.Text != content(n, data.At, data.At+len(data.Text)) {
				want := content(n, w.have, w.have+len(data.Text))
				tr.t.Errorf("stream %d: %d bytes at %d, expected at %d: %.100q, not %.100q", n, len(data.Text), data.At, w.have, data.Text, want)
			}
			w.have += len(data.Text)
		case "end":
			if data.Status == "done" {
				return tr.isDone(c, n, w.have)
			}
		}
		if ev.ID != "" {
			w.last = ev.ID
		}
	}
	return false
}

// state asks for a stream. It is empty where that has no answer.
func (tr *streamTrial) state(c *client, n int) (st streamJSON) {
	if status, _ := c.call("GET", fmt.Sprintf("/v1/streams/s%d", n), "", &st, "Accept", "application/json"); status != http.StatusOK {
		return streamJSON{}
	}
	return st
}

// isDone compares what a watcher has with the whole of a stream that has ended.
func (tr *streamTrial) isDone(c *client, n, have int) bool {
	st := tr.state(c, n)
	if st.Status != "done" {
		return false
	}
	if st.Bytes != have {
		tr.t.Errorf("stream %d has %d bytes, its watcher %d: %.200s", n, st.Bytes, have, st.Text)
	}
	return true
}
