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

// letter returns byte i of stream n, so that every piece of text can be checked by itself.
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

// streamTrial is a set of streams whose producers and watchers continue across kills.
type streamTrial struct {
	t *testing.T
	s *server

	moves bool // the stream may move to another node without a kill

	over    atomic.Bool // set when producers should end their streams
	resets  atomic.Int64
	resumes atomic.Int64
	takings atomic.Int64 // how often a producer took over a stream
}

// TestKillStreams kills the server while producers append to streams and others watch. After a restart a stream has a
// prefix of its text, its producer takes it over with a higher epoch, and watchers resume exactly or are told to begin
// anew.
func TestKillStreams(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	s := newServer(t)
	s.start()
	tr := &streamTrial{t: t, s: s}
	for n := range streams {
		c := s.client("owner")
		if status, answer := c.call("POST", "/v1/streams", fmt.Sprintf(`{"id":"s%d"}`, n),
			nil); status != http.StatusCreated {
			t.Fatal(status, answer)
		}
	}
	s.stop() // so that the streams were saved before the first kill
	s.start()
	var work sync.WaitGroup
	for n := range streams {
		work.Go(func() { tr.produce(n, rand.New(rand.NewPCG(seed, uint64(n)))) })
		work.Go(func() { tr.watch(n, rand.New(rand.NewPCG(seed, uint64(100+n)))) })
	}
	rng := rand.New(rand.NewPCG(seed, 1000))
	for range kills() / 2 {
		// sometimes longer than it takes until a stream is saved
		time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond)
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

// streamJSON is the response to GET of a stream.
type streamJSON struct {
	Status, Text string
	Bytes        int
}

// inspect checks a stream after a crash.
func (tr *streamTrial) inspect(n int) {
	var st streamJSON
	status, answer := tr.s.client("owner").call("GET", fmt.Sprintf("/v1/streams/s%d", n), "", &st, "Accept",
		"application/json")
	switch {
	case status != http.StatusOK:
		tr.t.Errorf("stream %d after a crash: %d %s", n, status, answer)
	case st.Status != "interrupted" && st.Status != "running":
		tr.t.Errorf("stream %d after a crash is %s", n, st.Status)
	case st.Text != content(n, 0, st.Bytes):
		tr.t.Errorf("stream %d: the text is not what was written", n)
	}
}

// produce appends to a stream until the trial is over, and takes it over whenever it was interrupted.
func (tr *streamTrial) produce(n int, rng *rand.Rand) {
	c := tr.s.client("owner")
	path := fmt.Sprintf("/v1/streams/s%d", n)
	for epoch := 1; !tr.t.Failed(); epoch++ {
		var st streamJSON
		if status, _ := c.call("GET", path, "", &st, "Accept", "application/json"); status != http.StatusOK {
			time.Sleep(5 * time.Millisecond) // a client does not retry immediately
			continue
		}
		tr.takings.Add(1)
		life := tr.s.lives.Load()
		at := st.Bytes
		for seq := 0; ; seq++ {
			piece := content(n, at, at+1+rng.IntN(200))
			header := []string{
				"Content-Type", "text/plain", "Producer-Id", "p", "Producer-Epoch", strconv.Itoa(epoch),
				"Producer-Seq", strconv.Itoa(seq),
			}
			last := tr.over.Load()
			if last {
				header = append(header, "Stream-Closed", "true")
			}
			status, answer := c.call("POST", path+"/append", piece, nil, header...)
			if status == http.StatusOK && last {
				return
			}
			if status != http.StatusOK {
				// since the previous append: this one then finds the stream interrupted (403, fenced)
				restarted := tr.moves || tr.s.lives.Load() != life
				if status != 0 && status < 500 && status != http.StatusConflict && status != http.StatusNotFound &&
					!restarted {
					tr.t.Errorf("append: %d %s", status, answer)
					return
				}
				if tr.moves && (status == 0 || status >= 500) {
					// another node may have taken it over, of which this one learns with a delay
					time.Sleep(time.Second)
				}
				break
			}
			at += len(piece)
			time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond) // text is generated at irregular intervals
		}
	}
}

// watch reads a stream across cuts and kills to its end. What it has received must always be a prefix of the text.
func (tr *streamTrial) watch(n int, rng *rand.Rand) {
	c := tr.s.client("watcher")
	var w watched
	for !tr.t.Failed() {
		if tr.watchOnce(c, n, rng, &w) {
			return
		}
		time.Sleep(time.Duration(1+rng.IntN(5)) * time.Millisecond) // a client does not reconnect immediately
	}
}

// watched is what a watcher has received of a stream.
type watched struct {
	have int    // bytes
	last string // position
	done bool   // the watcher knows that the stream is done
}

// watchOnce is one connection, which is cut after some time as long as producers write. It reports whether the stream
// is done and was received completely.
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
		// it may have become done since; the next 204 then is for a stream that is done
		w.done = tr.state(c, n).Status == "done"
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
				tr.t.Errorf("stream %d: %d bytes at %d, expected at %d: %.100q, not %.100q", n, len(data.Text), data.At,
					w.have, data.Text, want)
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

// state requests a stream. It returns the zero value if there is no answer.
func (tr *streamTrial) state(c *client, n int) (st streamJSON) {
	if status, _ := c.call("GET", fmt.Sprintf("/v1/streams/s%d", n), "", &st, "Accept",
		"application/json"); status != http.StatusOK {
		return streamJSON{}
	}
	return st
}

// isDone compares what a watcher received with the whole text of a stream that is done.
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
