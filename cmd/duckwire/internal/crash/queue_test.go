package crash_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/hubtest"
)

var (
	rounds = flag.Int("rounds", 0, "how often the server is killed; 0: a few times with -short, and 24 times without")
	seed   = flag.Uint64("seed", 0, "of what is random; 0: another each time")
)

func newSeed(t *testing.T) uint64 {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d -rounds %d", s, kills())
	return s
}

// kills is the number of times that the server is killed.
func kills() int {
	switch {
	case *rounds > 0:
		return *rounds
	case testing.Short():
		return 4
	}
	return 24
}

const (
	users      = 2
	publishers = 4 // half of them send to each user
	sessions   = 2 // per user
)

// trial is the state of one test: the messages that were accepted and received.
type trial struct {
	t     *testing.T
	s     *server
	stop  context.Context // publishers stop, and readers are not cut any more
	whole context.Context // everything that was accepted was received

	mu       sync.Mutex
	accepted map[string]string // id → position, according to the answer to the publisher
	seen     map[string]string // id → position, according to a reader
	lives    int               // connections of readers
	acks     int
	repeats  int // requests that publishers sent again
}

// TestKill kills the server at random times while messages are published, read and acknowledged, and clients are cut.
// Every accepted message is there once, in the order of its publisher.
func TestKill(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	s := newServer(t)
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	whole, seen := context.WithCancel(t.Context())
	defer seen()
	tr := &trial{t: t, s: s, stop: stop, whole: whole, accepted: make(map[string]string), seen: make(map[string]string)}
	s.start()
	var publishing, reading sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() { tr.publish(p, rand.New(rand.NewPCG(seed, uint64(p)))) })
	}
	for n := range users * sessions {
		reading.Go(func() { tr.read(n%users, rand.New(rand.NewPCG(seed, uint64(100+n)))) })
	}
	rng := rand.New(rand.NewPCG(seed, 1000))
	for range kills() {
		time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond) // kill at a random time
		s.kill()
		s.start()
	}
	cancel()
	publishing.Wait()
	tr.settle()
	seen()
	reading.Wait()
	tr.account()
	tr.empty()
	s.stop()
}

// publish sends messages until stop ends, and retries each batch until it is accepted.
func (tr *trial) publish(p int, rng *rand.Rand) {
	c := tr.s.client(fmt.Sprint("publisher", p))
	path := fmt.Sprintf("/v1/users/u%d/messages", p%users)
	for n := 0; tr.stop.Err() == nil; {
		batch := make([]map[string]any, 1+rng.IntN(3))
		for i := range batch {
			batch[i] = map[string]any{"id": fmt.Sprintf("%d.%d", p, n), "event": "e", "payload": map[string]int{"n": n}}
			n++
		}
		body, _ := json.Marshal(batch)
		for {
			var out struct {
				Messages []struct{ ID, Position string }
			}
			status, answer := c.call("POST", path, string(body), &out)
			if status == http.StatusCreated {
				tr.accept(out.Messages)
				break
			}
			if status != 0 && status < 500 && status != http.StatusTooManyRequests {
				tr.t.Errorf("publisher %d: %d %s", p, status, answer)
				return
			}
			tr.mu.Lock()
			tr.repeats++
			tr.mu.Unlock()
			time.Sleep(time.Duration(1+rng.IntN(10)) * time.Millisecond) // a client does not retry immediately
		}
		// so that a queue does not get full while its readers are cut
		time.Sleep(time.Duration(rng.IntN(8)) * time.Millisecond)
	}
}

func (tr *trial) accept(messages []struct{ ID, Position string }) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, m := range messages {
		if m.ID == "" || m.Position == "" || tr.accepted[m.ID] != "" {
			tr.t.Errorf("accepted: %+v", m)
		}
		tr.accepted[m.ID] = m.Position
	}
}

// read is a session of a user over many connections: it reads the queue and acknowledges, is cut, and resumes at its
// position or at the beginning.
func (tr *trial) read(user int, rng *rand.Rand) {
	c := tr.s.client(fmt.Sprint("u", user))
	last := ""
	for tr.whole.Err() == nil && !tr.t.Failed() {
		if rng.IntN(3) == 0 {
			last = ""
		}
		last = tr.life(c, rng, last)
		if last != "" && rng.IntN(2) == 0 {
			status, answer := c.call("POST", "/v1/users/me/messages/ack", fmt.Sprintf(`{"through":%q}`, last), nil)
			if status != 0 && status != http.StatusOK && status < 500 {
				tr.t.Errorf("ack %s: %d %s", last, status, answer)
			}
			tr.mu.Lock()
			tr.acks++
			tr.mu.Unlock()
		}
		time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond) // a client does not reconnect immediately
	}
}

// life is one connection, which is cut after some time as long as there are kills. It returns the position that it
// reached.
func (tr *trial) life(c *client, rng *rand.Rand, last string) string {
	ctx, cancel := context.WithCancel(tr.whole)
	defer cancel()
	if cut := time.Duration(10+rng.IntN(200)) * time.Millisecond; tr.stop.Err() == nil {
		ctx, cancel = context.WithTimeout(ctx, cut)
		defer cancel()
	}
	header := []string{"Accept", "text/event-stream"}
	if last != "" {
		header = append(header, "Last-Event-ID", last)
	}
	resp, err := c.http.Do(c.request("GET", "/v1/users/me/messages", "", header...).WithContext(ctx))
	if err != nil {
		return last
	}
	defer resp.Body.Close()
	tr.mu.Lock()
	tr.lives++
	tr.mu.Unlock()
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode < 500 {
			tr.t.Errorf("reading: %s", resp.Status)
		}
		return last
	}
	order := make(map[string]int)
	events := eventstream.NewReader(resp.Body, 0)
	for {
		ev, err := events.Next()
		if err != nil {
			return last
		}
		switch ev.Type {
		case "": // a message
			var m struct{ ID, Position string }
			if err := json.Unmarshal(ev.Data, &m); err != nil || m.Position != ev.ID {
				tr.t.Errorf("%s with id %s: %v", ev.Data, ev.ID, err)
			}
			tr.see(m.ID, m.Position, order)
			last = m.Position
		case "reset", "messages_expired":
			tr.t.Errorf("%s: %s after %s", ev.Type, ev.Data, last)
		}
	}
}

// see records a message that a reader received; order has each publisher's last number, which the next one must exceed.
func (tr *trial) see(id, position string, order map[string]int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if at := tr.seen[id]; at != "" && at != position {
		tr.t.Errorf("%s is there twice: at %s and at %s", id, at, position)
	}
	tr.seen[id] = position
	publisher, number, _ := strings.Cut(id, ".")
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil || n < order[publisher] {
		tr.t.Errorf("%s comes after %s.%d", id, publisher, order[publisher]-1)
	}
	order[publisher] = n + 1
}

// settle waits until every accepted message was received.
func (tr *trial) settle() {
	missing := ""
	tr.t.Cleanup(func() {
		if missing != "" {
			tr.t.Log("not seen: " + missing)
		}
	})
	hubtest.Until(tr.t, "everything that was accepted to be seen", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		missing = ""
		for id, position := range tr.accepted {
			if tr.seen[id] != position {
				missing = fmt.Sprintf("%s, accepted at %s, was seen at %q", id, position, tr.seen[id])
				break
			}
		}
		return missing == "" || tr.t.Failed()
	})
}

// account prints the counts, and checks that every received message was published.
func (tr *trial) account() {
	for id := range tr.seen {
		if tr.accepted[id] == "" {
			tr.t.Errorf("%s was seen, and never accepted", id) // publishers retry until they get an answer
		}
	}
	tr.t.Logf("%d kills, %d messages accepted, %d requests repeated, %d connections of readers, %d acknowledgements",
		kills(), len(tr.accepted), tr.repeats, tr.lives, tr.acks)
}

// empty acknowledges the rest, and checks that the queue is empty after another kill.
func (tr *trial) empty() {
	for u := range users {
		c := tr.s.client(fmt.Sprint("u", u))
		var page struct {
			Messages []struct{ ID, Position string }
			Expired  int
		}
		for {
			if status, answer := c.call("GET", "/v1/users/me/messages?limit=100", "", &page); status != http.StatusOK {
				tr.t.Fatalf("%d %s", status, answer)
			}
			if len(page.Messages) == 0 {
				break
			}
			last := page.Messages[len(page.Messages)-1].Position
			if status, answer := c.call("POST", "/v1/users/me/messages/ack", fmt.Sprintf(`{"through":%q}`, last),
				nil); status != http.StatusOK {
				tr.t.Fatalf("%d %s", status, answer)
			}
		}
		tr.s.kill()
		tr.s.start()
		if status, answer := c.call("GET", "/v1/users/me/messages", "", &page); status != http.StatusOK ||
			len(page.Messages) != 0 || page.Expired != 0 {
			tr.t.Errorf("what was acknowledged is back: %d %s", status, answer)
		}
	}
}
