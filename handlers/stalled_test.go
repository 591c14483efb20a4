package handlers_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestStalledReaderCostsTheOthersNothing: one of many subscribers never reads, and is sent more than a socket can
// buffer. The others receive everything in order, and the heap grows by no more than the topics' histories.
func TestStalledReaderCostsTheOthersNothing(t *testing.T) {
	t.Run("of 200", func(t *testing.T) { testStalledReader(t, 200) })
	t.Run("of 1000", func(t *testing.T) {
		hubtest.Full(t, "ten seconds of processor time")
		testStalledReader(t, 1000)
	})
}

func testStalledReader(t *testing.T, readers int) {
	const (
		events  = 150
		history = 50
	)
	s := startServer(
		t, nil, hub.Limits{HistoryEvents: history}, func(o *handlers.Options) { o.ConnectionsPerUser = readers + 1 },
	)
	s.dial("/v1/events?topic=flood&topic=code:project:42") // the stalled reader: it never reads the response
	flood := `{"event":"e","payload":"` + strings.Repeat("x", 200<<10) + `"}`
	for range 100 {
		call[publishedJSON](s, 200, "POST", "/v1/topics/flood/events", flood)
	}
	progress := newProgress(readers)
	var done sync.WaitGroup
	for i := range readers {
		conn := s.dial(eventsPath)
		done.Go(func() {
			defer progress.reach(i, events)
			readInOrder(t, conn, events, func(n int) { progress.reach(i, n) })
		})
	}
	progress.wait(0)
	before := heap()
	body := `{"event":"e","payload":{"n":%d,"x":"` + strings.Repeat("x", 1000) + `"}}`
	for i := range events {
		progress.wait(i - history/2) // readers that read must not get a gap
		call[publishedJSON](s, 200, "POST", eventsPath, fmt.Sprintf(body, i))
	}
	done.Wait()
	after := heap()
	t.Logf("heap %d KiB before, %d KiB after %d events to each of %d readers", before>>10, after>>10, events, readers)
	if grown := int64(after) - int64(before); grown > int64(readers)*64<<10 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// progress makes a publisher wait for its slowest reader. -1 means before hello.
type progress struct {
	mu   sync.Mutex
	cond *sync.Cond
	at   []int
}

func newProgress(n int) *progress {
	p := &progress{at: make([]int, n)}
	p.cond = sync.NewCond(&p.mu)
	for i := range p.at {
		p.at[i] = -1
	}
	return p
}

func (p *progress) reach(i, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[i] = max(p.at[i], n)
	p.cond.Broadcast()
}

func (p *progress) wait(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for slices.Min(p.at) < n {
		p.cond.Wait()
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// dial opens an event stream on a plain connection with a small receive buffer.
func (s *testServer) dial(path string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprintf(
		conn, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", path,
		token(s.t, "u", "*=*"),
	)
	return conn
}

// readInOrder reads events with the payloads 0, 1, 2 … until the last. A gap is only allowed after a reset.
func readInOrder(t *testing.T, conn net.Conn, events int, reached func(n int)) {
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16<<10), nil)
	if err != nil {
		t.Error(err)
		return
	}
	lines := bufio.NewReaderSize(resp.Body, 16<<10)
	next := 0
	for next < events {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Errorf("waiting for %d: %v", next, err)
			return
		}
		switch {
		case strings.HasPrefix(line, "event: hello"):
			reached(0)
		case strings.HasPrefix(line, "event: reset"):
			t.Errorf("reset while waiting for %d: a reader that reads fell behind", next)
			return
		case strings.HasPrefix(line, "data: ") && strings.Contains(line, `"payload":`):
			var n int
			_, rest, _ := strings.Cut(line, `"n":`)
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil || n != next {
				t.Errorf("got %d (%v), want %d", n, err, next)
				return
			}
			next++
			reached(next)
		}
	}
}

// TestSlowReaderOfALongEvent: a client that takes a long event slowly gets all of it, though that takes much longer
// than the limit of one write.
func TestSlowReaderOfALongEvent(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		s := startServer(t, nil, hub.Limits{}, nil)
		payload := strings.Repeat("x", 900<<10)
		call[publishedJSON](s, 200, "POST", eventsPath, fmt.Sprintf(`{"event":"long","payload":%q}`, payload))
		conn, err := hubtest.Dial(s.Server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s?after=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"+
			"Authorization: Bearer %s\r\n\r\n", eventsPath, token(t, "u", "*=*"))
		if _, err := io.CopyN(slowly{}, conn, int64(len(payload))); err != nil {
			t.Errorf("cut: %v", err)
		}
	})
}

// slowly takes what is written to it at 3 KB per second.
type slowly struct{}

func (slowly) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Second / 3000)
	return len(b), nil
}
