package handlers_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
)

var hopSeed = flag.Uint64("hops.seed", 0, "seed of TestHops; 0: from the clock")

// TestHops tests that resuming is exact: a client that is cut at random bytes and resumes over another transport each
// time finally has exactly the text and the events that were produced.
func TestHops(t *testing.T) {
	t.Parallel()
	seed := *hopSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-hops.seed=%d repeats it)", seed, seed)
	s := startServer(t, nil, hub.Limits{StreamBytes: 256 << 20}, nil)
	s.Client().Transport = s.Client().Transport.(checked).next // responses are cut here, not read and checked
	const clients, cutsEach = 8, 150
	cuts := make([]int, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			cuts[i] = hop(t, s, rnd, fmt.Sprintf("hop-%d", i), cutsEach)
		})
	}
	wg.Wait()
	total := 0
	for _, n := range cuts {
		total += n
	}
	t.Logf("%d cuts and hops", total)
	if total < 1000 && !t.Failed() {
		t.Fatalf("only %d cuts; the promise is 1,000", total)
	}
}

// hopClient is a reader that remembers what a real one would remember: the text, and the position of the last complete
// block.
type hopClient struct {
	t        *testing.T
	s        *testServer
	rnd      *rand.Rand
	path     string
	text     []byte
	events   []string
	position string // "" at first
	at       int    // how many bytes of text the position stands behind
	seen     int    // how many events the position stands behind
	ended    bool
}

// hop produces one stream while a client reads it, until it was cut often enough; then it lets both finish. It returns
// the number of cuts.
func hop(t *testing.T, s *testServer, rnd *rand.Rand, id string, enough int) (cuts int) {
	call[streamJSON](s, http.StatusCreated, "POST", "/v1/streams", `{"id":"`+id+`","kind":"test"}`)
	var made bytes.Buffer
	var events []string
	stop := make(chan struct{})
	var producer sync.WaitGroup
	others := rand.New(rand.NewPCG(rnd.Uint64(), 1))
	producer.Go(func() { made, events = produce(s, others, id, stop) })
	c := &hopClient{t: t, s: s, rnd: rnd, path: "/v1/streams/" + id}
	for ; cuts < enough && !t.Failed(); cuts++ {
		c.connect(false)
	}
	close(stop)
	producer.Wait()
	for range 1000 {
		if c.ended || t.Failed() {
			break
		}
		c.connect(true)
	}
	if !bytes.Equal(c.text, made.Bytes()) || strings.Join(c.events, " ") != strings.Join(events, " ") {
		t.Errorf("%s: received %d bytes and %d events, produced %d and %d; equal up to byte %d",
			id, len(c.text), len(c.events), made.Len(), len(events), common(c.text, made.Bytes()))
	}
	return cuts
}

// common returns the length of the common prefix.
func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

var hopPieces = []string{
	"a", "é", "€", "🦆", "\r", "\n", "\r\n", "\u2028", "\u2029", "\"\\", "data: x\n\n", "id: 7\n",
}

// produce appends random pieces, 64 KiB ones among them, and some events, until stop; then it closes the stream.
func produce(s *testServer, rnd *rand.Rand, id string, stop chan struct{}) (made bytes.Buffer, events []string) {
	for {
		select {
		case <-stop:
			call[any](s, http.StatusOK, "POST", "/v1/streams/"+id+"/append", "", "Stream-Closed: true")
			return made, events
		case <-time.After(time.Duration(rnd.IntN(3)) * time.Millisecond):
		}
		piece := hopPieces[rnd.IntN(len(hopPieces))]
		line := map[string]any{"text": piece}
		switch n := rnd.IntN(60); {
		case n == 0:
			piece = strings.Repeat("64 KiB! ", 8<<10)
			line["text"] = piece
		case n < 6:
			piece = ""
			line = map[string]any{"event": "note", "n": len(events)}
			events = append(events, fmt.Sprint(len(events)))
		}
		made.WriteString(piece)
		raw, _ := json.Marshal(line)
		call[any](s, http.StatusOK, "POST", "/v1/streams/"+id+"/append", string(raw), "Content-Type: application/x-ndjson")
	}
}

// connect reads over a random transport until a random byte, or with whole until the response ends.
func (c *hopClient) connect(whole bool) {
	limit := int64(c.rnd.ExpFloat64() * 2000)
	if whole {
		limit = 1 << 40
	}
	switch c.rnd.IntN(4) {
	case 0:
		c.lines(limit)
	case 1:
		c.plain(limit, whole)
	case 2:
		c.poll(limit)
	default:
		c.blocks(limit)
	}
}

// open sends a request whose response is read up to limit bytes.
func (c *hopClient) open(query string, limit int64, headers ...string) (*http.Response, []byte) {
	resp := c.s.do("GET", c.path+query, "", headers...)
	// a silent stream is cut, too
	timer := time.AfterFunc(30*time.Millisecond+time.Duration(limit/1000)*time.Second, func() { resp.Body.Close() })
	body, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
	timer.Stop()
	resp.Body.Close()
	return resp, body
}

func (c *hopClient) blocks(limit int64) {
	headers := []string{"Accept: text/event-stream"}
	query := ""
	if c.rnd.IntN(2) == 0 && c.position != "" {
		query = "?after=" + c.position
	} else if c.position != "" {
		headers = append(headers, "Last-Event-ID: "+c.position)
	}
	resp, body := c.open(query, limit, headers...)
	c.ended = c.ended || resp.StatusCode == http.StatusNoContent
	c.rewind()
	for {
		block, rest, ok := strings.Cut(string(body), "\n\n")
		if !ok {
			return
		}
		body = []byte(rest)
		var event, data, id string
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "event":
				event = value
			case "data":
				data = value
			case "id":
				id = value
			}
		}
		c.take(event, []byte(data), id)
	}
}

func (c *hopClient) lines(limit int64) {
	query := ""
	if c.position != "" {
		query = "?after=" + c.position
	}
	resp, body := c.open(query, limit, "Accept: application/x-ndjson")
	c.ended = c.ended || resp.StatusCode == http.StatusNoContent
	c.rewind()
	for {
		line, rest, ok := bytes.Cut(body, []byte("\n"))
		if !ok {
			return
		}
		body = rest
		var head struct{ Event, Position string }
		if err := json.Unmarshal(line, &head); err != nil {
			c.t.Errorf("line %q: %v", line, err)
			return
		}
		if head.Event == "hello" {
			head.Position = ""
		}
		c.take(head.Event, line, head.Position)
	}
}

// rewind drops events that the client saw on a connection whose position it did not keep.
func (c *hopClient) rewind() { c.events = c.events[:c.seen] }

// take takes one block or line.
func (c *hopClient) take(event string, data []byte, id string) {
	switch event {
	case "chunk":
		var chunk struct {
			Text string
			At   int
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			c.t.Errorf("chunk %q: %v", data, err)
		}
		c.addText(chunk.At, chunk.Text)
		c.at = chunk.At + len(chunk.Text)
	case "note":
		var note struct{ N int }
		_ = json.Unmarshal(data, &note)
		c.events = append(c.events, fmt.Sprint(note.N))
	case "end":
		c.ended = true
	case "reset", "bye":
		c.t.Errorf("%s: %s", event, data)
	}
	if id != "" {
		c.position, c.seen = id, len(c.events)
	}
}

// addText adds text that begins at a byte: at most what the client has already stands before its end.
func (c *hopClient) addText(at int, text string) {
	if at > len(c.text) {
		c.t.Errorf("a gap: text at %d, the client has %d bytes", at, len(c.text))
		return
	}
	if have := len(c.text) - at; have < len(text) {
		c.text = append(c.text, text[have:]...)
	} else if !bytes.HasSuffix(c.text[:at+len(text)], []byte(text)) {
		c.t.Errorf("text at %d differs from what came before", at)
	}
}

func (c *hopClient) plain(limit int64, whole bool) {
	headers := []string{"Accept: text/plain"}
	if len(c.text) > 0 || c.rnd.IntN(2) == 0 {
		headers = append(headers, fmt.Sprintf("Range: bytes=%d-", len(c.text)))
	}
	resp, body := c.open("", limit, headers...)
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable { // finished, and the client has all
		return
	}
	at := 0
	if resp.StatusCode == http.StatusPartialContent {
		at = len(c.text)
	}
	if whole && resp.StatusCode == http.StatusOK && len(body) < len(c.text) {
		c.t.Errorf("the whole text has %d bytes, the client %d", len(body), len(c.text))
	}
	c.addText(at, string(body))
}

func (c *hopClient) poll(limit int64) {
	query := "?wait=1"
	if c.position != "" {
		query += "&after=" + c.position
	}
	resp, body := c.open(query, limit*20, "Accept: application/json")
	var st streamJSON
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, &st) != nil {
		return // cut
	}
	c.rewind()
	c.addText(st.At, st.Text)
	for _, e := range st.Events {
		var note struct{ N int }
		_ = json.Unmarshal(e.Data, &note)
		c.events = append(c.events, fmt.Sprint(note.N))
	}
	c.at, c.seen, c.position = st.At+len(st.Text), len(c.events), st.Position
	c.ended = c.ended || st.Status == "done"
}
