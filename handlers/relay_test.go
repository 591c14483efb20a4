package handlers_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis"
)

// startNodes starts servers on one Redis.
func startNodes(t *testing.T, n int) (nodes []*testServer) {
	t.Helper()
	return startNodesWith(t, n, hub.Limits{}, nil)
}

// startNodesWith is startNodes with limits and other options.
func startNodesWith(t *testing.T, n int, limits hub.Limits, change func(*handlers.Options)) (nodes []*testServer) {
	t.Helper()
	url := "redis://" + miniredis.RunT(t).Addr()
	for i := range n {
		store, err := redis.Open(redis.Options{
			URL: url, Node: fmt.Sprint("n", i), Logger: slog.New(slog.DiscardHandler), Timeout: hubtest.Hung,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		options := hub.Options{Limits: limits, Streams: store, Topics: store, Presences: store, Queue: store}
		nodes = append(nodes, startHub(t, options, change))
	}
	return nodes
}

// TestLongPollOverNodes: a long-poll's requests reach their session through any node, with any accepted body.
func TestLongPollOverNodes(t *testing.T) {
	nodes := startNodes(t, 2)
	opened := nodes[0].poll("GET", "token="+token(t, "ada", "*=*"), "")
	if opened.Status != 410 {
		t.Fatalf("%+v", opened)
	}
	long := strings.Repeat("x", 1<<20)
	join := `["1","1","code:project:1","phx_join",{"long":"` + long + `"}]`
	if answer := nodes[1].poll("POST", "token="+opened.Token, join); answer.Status != 200 {
		t.Errorf("a POST at another node: %+v", answer)
	}
	if answer := nodes[1].poll("GET", "token="+opened.Token, ""); answer.Status != 200 || len(answer.Messages) == 0 {
		t.Errorf("a GET at another node: %+v", answer)
	}
}

// TestMadeUpSessionIsNotRelayed: a request with an invented session token is neither read nor relayed, whatever the
// length of its body.
func TestMadeUpSessionIsNotRelayed(t *testing.T) {
	nodes := startNodes(t, 2)
	var relayed atomic.Int64
	nodes[0].hub.Cluster().OnCall("relay", func([]byte) ([]byte, error) {
		relayed.Add(1)
		return []byte(`{"Status":200,"Header":{"Content-Type":["application/json"]}}` + "\n{\"status\":200}"), nil
	})
	opened := nodes[0].poll("GET", "token="+token(t, "ada", "*=*"), "")
	name, rest, _ := strings.Cut(opened.Token, ".")
	for _, made := range []string{"x.0.AAAA.n0", "x." + rest, name + ".1" + rest, "a.b.c.n0", "...n0"} {
		for _, path := range []string{"/socket/longpoll?vsn=2.0.0&token=", "/socket/sse?vsn=2.0.0&session="} {
			body, end := io.Pipe() // never sends anything
			r, err := http.NewRequest("POST", nodes[1].URL+path+made, body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = 8 << 20
			resp, err := nodes[1].plain.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			end.Close()
			if !strings.Contains(string(answer), `"status":410`) {
				t.Errorf("%s%s: %s %s", path, made, resp.Status, answer)
			}
		}
	}
	if n := relayed.Load(); n > 0 {
		t.Errorf("%d requests were handed on", n)
	}
	if nodes[1].poll("POST", "token="+opened.Token, "[]"); relayed.Load() != 1 {
		t.Errorf("of a session that there is %d requests were handed on", relayed.Load())
	}
}
