package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/r3labs/sse/v2"
	"gopkg.in/cenkalti/backoff.v1"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestGoClient reads a topic with r3labs/sse, an EventSource for Go, whose connections are closed repeatedly. It
// reconnects by itself with Last-Event-ID, and receives every event once and in order. (It takes a partial block for a
// whole one, so no block is cut.)
func TestGoClient(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	client := sse.NewClient(s.URL + "/v1/topics/t/events?after=0")
	client.Headers = map[string]string{"Authorization": s.request("GET", "/", "").Header.Get("Authorization")}
	client.ReconnectStrategy = backoff.NewConstantBackOff(time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const rounds, events = 5, 40
	got := make(chan string, 2*rounds*events)
	connected := make(chan int, 2*rounds)
	client.ResponseValidator = func(_ *sse.Client, r *http.Response) error {
		connected <- r.StatusCode
		return nil
	}
	ended := make(chan error, 1)
	go func() {
		ended <- client.SubscribeRawWithContext(ctx, func(ev *sse.Event) {
			var envelope struct{ Payload json.RawMessage }
			if string(ev.Event) == "n" && json.Unmarshal(ev.Data, &envelope) == nil {
				got <- string(envelope.Payload)
			}
		})
	}()
	for round := range rounds {
		if status := hubtest.Recv(t, "a connection", connected); status != http.StatusOK {
			t.Fatalf("connection %d: %d", round, status)
		}
		for n := range events {
			in := []hub.EventInput{{Event: "n", Payload: json.RawMessage(fmt.Sprint(round*events + n))}}
			if _, err := s.hub.Publish("t", "u", in); err != nil {
				t.Fatal(err)
			}
			if n == events/2 && round < rounds-1 {
				s.CloseClientConnections()
			}
		}
	}
	for n := range rounds * events {
		if payload := hubtest.Recv(t, "an event", got); payload != fmt.Sprint(n) {
			t.Fatalf("event %d is %s", n, payload)
		}
	}
	cancel()
	_ = hubtest.Recv(t, "the client's end", ended)
}
