package crash_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestWorkerOfAnotherNode runs the real worker against one of three nodes, and requests analyses of the others, one of
// which started later.
func TestWorkerOfAnotherNode(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	const often = "DUCKWIRE_HEAVY_PER_MINUTE=100000" // the test repeats requests until the worker takes one
	redis := "DUCKWIRE_REDIS_URL=" + redistest.Start(t).URL()
	a, b, c := newServer(t, redis, often), newServer(t, redis, often), newServer(t, redis, often)
	a.start()
	b.start()
	ctx, stop := context.WithCancel(t.Context())
	worker := exec.CommandContext(ctx, a.bin, "worker", "--types", "style", "--url", "http://"+a.addr, "--token",
		token(t, "linter"), "--", "sh", "-c", "echo a.go:1:9: no ducks")
	worker.Cancel = func() error { return worker.Process.Signal(os.Interrupt) }
	worker.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	worker.WaitDelay = hubtest.Hung
	worker.SysProcAttr = hubtest.ProcAttr()
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = worker.Wait()
	}()
	analyse := func(s *server) string {
		var out struct{ ID string }
		if status, answer := s.client("ada").call("POST", "/v1/analyses",
			`{"type":"style","path":"a.go","code":"package a"}`, &out); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, answer)
		}
		_, text := a.client("ada").call("GET", "/v1/streams/"+out.ID, "", nil, "Accept", "application/x-ndjson")
		return text
	}
	byWorker := func(text string) bool {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		var end struct{ Status string }
		return json.Unmarshal([]byte(lines[len(lines)-1]), &end) == nil && end.Status == "done" &&
			strings.Contains(text, "no ducks")
	}
	hubtest.Until(t, "the worker to ask: until then the built-in checks do it", func() bool {
		return byWorker(analyse(b))
	})
	c.start() // after the worker announced its types to the other nodes
	if text := analyse(c); !byWorker(text) {
		t.Errorf("the analysis of c is\n%s", text)
	}
	c.stop()
	b.stop()
	a.stop()
}
