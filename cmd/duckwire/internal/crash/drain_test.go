package crash_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

var drainConnections = flag.Int("connections", 0, "that TestDrain holds; 0: 40 with -short, and 500 without")

// farewells counts what the clients of a server are told when it shuts down.
type farewells struct {
	t      *testing.T
	mu     sync.Mutex
	retry  map[string]int // number of event streams by the reconnection time that they were told
	closed int            // WebSockets, with 1012
	lines  int            // readers of lines, with a bye
	polled int            // long-poll sockets that were told to reconnect
}

// TestDrain stops a server with SIGTERM while clients have open connections and one publishes. Each client is told to
// reconnect, at different times. The server exits with 0. After a restart everything that it accepted is there once,
// and so is the text of a stream. Running completions were completed.
func TestDrain(t *testing.T) {
	t.Parallel()
	connections := *drainConnections
	switch {
	case connections > 0:
	case testing.Short():
		connections = 40
	default:
		connections = 500
	}
	s := newServer(t, "DUCKWIRE_LOCAL_TOKEN_DELAY=40ms") // so that completions are running when the signal arrives
	s.start()
	f := &farewells{t: t, retry: map[string]int{}}
	var clients, open sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	beginStream(t, s.client("ada"))
	kinds := []func(context.Context, *client, func()){f.readEvents, f.holdSocket, f.readLines, f.poll}
	for n := range connections {
		c := s.client(fmt.Sprintf("u%d", n/100)) // below the limit of connections per user
		open.Add(1)
		clients.Go(func() { kinds[n%len(kinds)](ctx, c, open.Done) })
	}
	open.Wait()
	var accepted []string
	working := make(chan struct{})
	clients.Go(func() { accepted = publishUntilRefused(s.client("writer"), working) })
	<-working // it is publishing when the signal arrives
	running := beginCompletions(t, s.client("ada"))
	clients.Go(readChat(t, s.client("ada")))
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.wait()
	if at := strings.Index(s.log.String(), `"msg":"stopped"`); at >= 0 {
		line, _, _ := strings.Cut(s.log.String()[at:], "\n")
		t.Log(line) // how long it took
	}
	clients.Wait()
	f.check(connections)
	s.start()
	checkKept(t, s.client("ada"), accepted)
	checkStream(t, s.client("ada"))
	checkCompletions(t, s.client("ada"), running)
	s.stop()
}

// beginStream creates a stream with an external producer, which is still open when the server stops.
func beginStream(t *testing.T, c *client) {
	t.Helper()
	if status, answer := c.call("POST", "/v1/streams", `{"id":"half"}`, nil); status != http.StatusCreated {
		t.Fatalf("beginning a stream: %d %s", status, answer)
	}
	if status, answer := c.call("POST", "/v1/streams/half/append", `{"text":"half a"}`+"\n", nil, "Content-Type",
		"application/x-ndjson"); status >= 300 {
		t.Fatalf("appending: %d %s", status, answer)
	}
}

// checkStream reads what beginStream wrote.
func checkStream(t *testing.T, c *client) {
	t.Helper()
	status, answer := c.call("GET", "/v1/streams/half", "", nil, "Accept", "application/json")
	if status != http.StatusOK || !strings.Contains(answer, `"half a"`) || !strings.Contains(answer, `"interrupted"`) {
		t.Errorf("the stream in the next life: %d %s", status, answer)
	}
}

// readEvents reads a topic until the response ends, which must be with a bye and a reconnection time.
func (f *farewells) readEvents(ctx context.Context, c *client, opened func()) {
	req := c.request("GET", "/v1/topics/room/events", "", "Accept", "text/event-stream").WithContext(ctx)
	resp, err := c.http.Do(req)
	if err != nil {
		opened()
		f.t.Error(err)
		return
	}
	defer resp.Body.Close()
	opened()
	raw, err := io.ReadAll(resp.Body)
	_, bye, ok := strings.Cut(string(raw), "event: bye\ndata: {\"reason\":\"drain\"}\n")
	wait, found := strings.CutPrefix(strings.TrimSpace(bye), "retry: ")
	if err != nil || !ok || !found {
		f.t.Errorf("a reader's end: %v, %.300q (%s)", err, raw, resp.Status)
		return
	}
	f.mu.Lock()
	f.retry[wait]++
	f.mu.Unlock()
}

// holdSocket keeps a socket open until the server closes it, which must be with 1012.
func (f *farewells) holdSocket(ctx context.Context, c *client, opened func()) {
	conn, _, err := websocket.Dial(ctx, "ws://"+c.s.addr+"/socket/websocket?vsn=2.0.0&token="+c.token, nil)
	if err != nil {
		opened()
		f.t.Error(err)
		return
	}
	defer conn.CloseNow()
	err = conn.Write(ctx, websocket.MessageText, []byte(`["1","1","room","phx_join",{}]`))
	if err == nil {
		_, _, err = conn.Read(ctx)
	}
	opened()
	for err == nil {
		_, _, err = conn.Read(ctx)
	}
	if websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		f.t.Errorf("a socket's end: %v, want 1012", err)
		return
	}
	f.mu.Lock()
	f.closed++
	f.mu.Unlock()
}

// readLines reads a stream as lines until the response ends, which must be with a bye.
func (f *farewells) readLines(ctx context.Context, c *client, opened func()) {
	resp, err := c.http.Do(c.request("GET", "/v1/streams/half", "", "Accept", "application/x-ndjson").WithContext(ctx))
	opened()
	if err != nil {
		f.t.Error(err)
		return
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if err != nil || !strings.HasPrefix(lines[len(lines)-1], `{"event":"bye","reason":"drain","retry":`) {
		f.t.Errorf("the end of lines: %v, %.300q (%s)", err, raw, resp.Status)
		return
	}
	f.mu.Lock()
	f.lines++
	f.mu.Unlock()
}

// poll polls a long-poll socket until the server stops, when it must be told to reconnect.
func (f *farewells) poll(_ context.Context, c *client, opened func()) {
	path := "/socket/longpoll?vsn=2.0.0&token=" + c.token
	var answer struct {
		Status int
		Token  string
	}
	_, text := c.call("GET", path, "", &answer)
	opened()
	for answer.Status == 410 || answer.Status == 204 {
		_, text = c.call("GET", path, "", &answer, "X-Phoenix-Longpoll-Token", answer.Token)
	}
	if answer.Status != 500 {
		f.t.Errorf("a poll's end: %s", text)
		return
	}
	f.mu.Lock()
	f.polled++
	f.mu.Unlock()
}

// completions is the number of completions that are running when the signal arrives.
const completions = 5

// completionBody requests a completion for which the built-in completer generates text.
func completionBody(members string) string {
	const line = "app.get(\"/%[1]s\", (req, res) => {\n  res.json(db.%[1]s.all());\n});\n"
	prompt, _ := json.Marshal(fmt.Sprintf(line, "users") + fmt.Sprintf(line, "orders") + fmt.Sprintf(line, "teams") +
		`app.get("/items",`)
	return fmt.Sprintf(`{"prompt":%s,"max_tokens":64%s}`, prompt, members)
}

// readChat requests a completion like an OpenAI client, which does not resume, so it must receive all of it.
func readChat(t *testing.T, c *client) func() {
	t.Helper()
	resp, err := c.http.Do(c.request("POST", "/v1/completions", completionBody(`,"stream":true`)))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err, resp)
	}
	return func() {
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(raw), "\ndata: [DONE]\n") {
			t.Errorf("a completion that was being read when the server was told to end: %v, …%s", err,
				raw[max(0, len(raw)-300):])
		}
	}
}

// beginCompletions starts completions and returns their ids.
func beginCompletions(t *testing.T, c *client) (ids []string) {
	t.Helper()
	for range completions {
		var out struct{ ID string }
		if status, answer := c.call("POST", "/v1/completions", completionBody(""), &out, "Prefer",
			"respond-async"); status != http.StatusAccepted {
			t.Fatalf("beginning a completion: %d %s", status, answer)
		}
		ids = append(ids, out.ID)
	}
	return ids
}

// checkCompletions checks that the completions were completed before the server stopped.
func checkCompletions(t *testing.T, c *client, ids []string) {
	t.Helper()
	for _, id := range ids {
		var out struct{ Status, Text string }
		if status, answer := c.call("GET", "/v1/streams/"+id, "", &out, "Accept",
			"application/json"); status != http.StatusOK || out.Status != "done" ||
			!strings.Contains(out.Text, "items") {
			t.Errorf("a completion that ran: %d %s", status, answer)
		}
	}
}

func (f *farewells) check(connections int) {
	readers := 0
	for _, n := range f.retry {
		readers += n
	}
	each := func(kind int) int { return (connections + 3 - kind) / 4 }
	if readers != each(0) || f.closed != each(1) || f.lines != each(2) || f.polled != each(3) {
		f.t.Errorf("%d event streams, %d sockets, %d readers of lines and %d polls were told, of %d connections",
			readers, f.closed, f.lines, f.polled, connections)
	}
	if len(f.retry) < readers/10 {
		f.t.Errorf("%d readers come back at %d times: they are not spread", readers, len(f.retry))
	}
}

// publishUntilRefused sends messages to ada one by one until one is rejected, and returns the ids of the accepted ones.
func publishUntilRefused(c *client, working chan<- struct{}) (accepted []string) {
	begun := sync.OnceFunc(func() { close(working) })
	defer begun()
	for {
		var out struct{ Messages []struct{ ID string } }
		status, _ := c.call("POST", "/v1/users/ada/messages", `{"event":"e"}`, &out)
		if status != http.StatusCreated || len(out.Messages) != 1 {
			return accepted // the server is stopping, or the queue is full
		}
		accepted = append(accepted, out.Messages[0].ID)
		if len(accepted) == 20 {
			begun()
		}
	}
}

// checkKept reads ada's queue: each accepted message is there once.
func checkKept(t *testing.T, c *client, accepted []string) {
	t.Helper()
	times := map[string]int{}
	for after := ""; ; {
		var out struct {
			Messages []struct{ ID, Position string }
		}
		if status, answer := c.call("GET", "/v1/users/ada/messages?limit=100"+after, "",
			&out); status != http.StatusOK {
			t.Fatalf("reading the queue: %d %s", status, answer)
		}
		if len(out.Messages) == 0 {
			break
		}
		for _, m := range out.Messages {
			times[m.ID]++
			after = "&after=" + m.Position
		}
	}
	for _, id := range accepted {
		if times[id] != 1 {
			t.Errorf("message %s was accepted, and is there %d times", id, times[id])
		}
	}
	t.Logf("%d messages accepted, %d there", len(accepted), len(times))
}
