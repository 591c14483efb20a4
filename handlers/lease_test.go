package handlers_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/memory"
)

// doubtfulNode is a node that does not know whether its lease holds, when a test says so.
type doubtfulNode struct {
	hub.SharedStreams
	doubts atomic.Bool
}

func (n *doubtfulNode) LeaseValid() bool { return !n.doubts.Load() && n.SharedStreams.LeaseValid() }

// TestProducersWithoutALease: a node that cannot prove that it still has its lease answers producers with 503, and
// names the reason at /readyz.
func TestProducersWithoutALease(t *testing.T) {
	c := memory.NewCluster(memory.ClusterOptions{})
	nodeA, b := c.Node("a"), c.Node("b")
	t.Cleanup(nodeA.Close)
	t.Cleanup(b.Close)
	a := &doubtfulNode{SharedStreams: nodeA}
	s := startHub(t, hub.Options{Streams: a}, nil)
	other := startHub(t, hub.Options{Streams: b}, nil)
	id := call[streamJSON](s, 201, "POST", "/v1/streams", `{}`).ID
	path := "/v1/streams/" + id
	lines := "Content-Type: application/x-ndjson"
	call[map[string]any](s, 200, "POST", path+"/append", `{"text":"one "}`, lines)
	if got := call[health](s, 200, "GET", "/readyz", ""); got.Status != "ready" {
		t.Errorf("%+v", got)
	}

	a.doubts.Store(true)
	refused := func(s *testServer, path, body string, headers ...string) {
		t.Helper()
		resp := s.do("POST", path, body, headers...)
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, Retry-After %q", path, resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	for _, s := range []*testServer{s, other} {
		refused(s, path+"/append", `{"text":"lost"}`, lines)
		refused(s, path+"/append", "lost", "Content-Type: text/plain")
		refused(s, path+"/append", "lost", "Content-Type: text/plain", "Stream-Closed: true")
	}
	refused(s, "/v1/streams", `{}`)
	got := call[health](s, 200, "GET", "/readyz", "")
	if got.Status != "degraded" || !strings.Contains(strings.Join(got.Reasons, " "), "lease") {
		t.Errorf("%+v", got)
	}
	if got := call[health](other, 200, "GET", "/readyz", ""); got.Status != "ready" {
		t.Errorf("the other node: %+v", got)
	}

	a.doubts.Store(false)
	call[map[string]any](s, 200, "POST", path+"/append", `{"text":"two"}`, lines)
	if got := call[streamJSON](s, 200, "GET", path, ""); got.Text != "one two" {
		t.Errorf("%q", got.Text)
	}
}

type health struct {
	Status  string
	Reasons []string
}
