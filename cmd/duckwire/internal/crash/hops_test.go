package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

const (
	hopPieces = 600 // pieces of the upstream's completion, which takes more than a second
	leastHops = 6   // minimum of each reader before the completion ends
)

// slowUpstream answers any request with a letter of content(0, …) every two milliseconds. The last letter waits until
// the test permits it.
func slowUpstream(t *testing.T, pieces int, end <-chan struct{}) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range pieces {
			if i == pieces-1 {
				select {
				case <-end:
				case <-r.Context().Done():
					return
				}
			}
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":%q}]}\n\n", content(0, i, i+1))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(2 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

// hopper reads one stream over one transport, for a short time on each of several nodes in turn. It must never be told
// that text is missing.
type hopper struct {
	t    *testing.T
	id   string
	text string
	last string // position, for transports that have one
	over bool
}

// hops has a function for each transport, which reads from a node until its time is over.
var hops = map[string]func(h *hopper, ctx context.Context, c *client){
	"events": func(h *hopper, ctx context.Context, c *client) { h.events(ctx, c, "") },
	"OpenAI": func(h *hopper, ctx context.Context, c *client) { h.events(ctx, c, "?format=openai") },
	"lines":  (*hopper).lines, "JSON": (*hopper).poll, "bytes": (*hopper).bytes, "socket": (*hopper).socket,
}

func (h *hopper) get(ctx context.Context, c *client, query string, header ...string) *http.Response {
	resp, err := c.http.Do(c.request("GET", "/v1/streams/"+h.id+query, "", header...).WithContext(ctx))
	if err != nil {
		return nil // its time is over
	}
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable &&
		resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", len(h.text)):
		h.over = true // the text was read to its end, but the time was over before the end was told
	case resp.StatusCode >= 300:
		raw, _ := io.ReadAll(resp.Body)
		h.t.Errorf("%s: %s", resp.Status, raw)
	}
	h.over = h.over || resp.StatusCode == http.StatusNoContent
	return resp
}

// take processes an event, in the form of event streams, lines or sockets.
func (h *hopper) take(event, position string, data []byte) {
	var d struct {
		Text    string
		At      int
		Choices []struct{ Text string }
	}
	if event == "reset" || json.Unmarshal(data, &d) != nil && string(data) != "[DONE]" {
		h.t.Errorf("%s: %s", event, data)
	}
	if event == "chunk" && d.At != len(h.text) {
		h.t.Errorf("text at %d, expected at %d", d.At, len(h.text))
	}
	h.text += d.Text
	for _, choice := range d.Choices {
		h.text += choice.Text
	}
	if position != "" {
		h.last = position
	}
	h.over = h.over || event == "end" || string(data) == "[DONE]"
}

func (h *hopper) events(ctx context.Context, c *client, query string) {
	header := []string{"Accept", "text/event-stream"}
	if h.last != "" {
		header = append(header, "Last-Event-ID", h.last)
	}
	resp := h.get(ctx, c, query, header...)
	if resp == nil {
		return
	}
	defer resp.Body.Close()
	events := eventstream.NewReader(resp.Body, 0)
	for !h.over {
		ev, err := events.Next()
		if err != nil {
			return
		}
		h.take(ev.Type, ev.ID, ev.Data)
	}
}

func (h *hopper) lines(ctx context.Context, c *client) {
	resp := h.get(ctx, c, "?after="+h.last, "Accept", "application/x-ndjson")
	if resp == nil {
		return
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); !h.over; {
		var line json.RawMessage
		if d.Decode(&line) != nil {
			return
		}
		var in struct{ Event, Position string }
		if err := json.Unmarshal(line, &in); err != nil {
			h.t.Error(err)
		}
		h.take(in.Event, in.Position, line)
	}
}

func (h *hopper) poll(ctx context.Context, c *client) {
	for ctx.Err() == nil && !h.over {
		var st struct {
			Text, Status, Position string
			Reset                  json.RawMessage
		}
		status, answer := c.call("GET", "/v1/streams/"+h.id+"?wait=1&after="+h.last, "", &st, "Accept",
			"application/json")
		if status != http.StatusOK || st.Reset != nil {
			h.t.Errorf("%d %s", status, answer)
			return
		}
		h.text, h.last, h.over = h.text+st.Text, st.Position, st.Status == "done"
	}
}

func (h *hopper) bytes(ctx context.Context, c *client) {
	resp := h.get(ctx, c, "", "Accept", "text/plain", "Range", fmt.Sprintf("bytes=%d-", len(h.text)))
	if resp == nil {
		return
	}
	defer resp.Body.Close()
	if h.over {
		return
	}
	raw, err := io.ReadAll(resp.Body)
	h.text, h.over = h.text+string(raw), err == nil
}

func (h *hopper) socket(ctx context.Context, c *client) {
	conn, _, err := websocket.Dial(ctx, "ws://"+c.s.addr+"/socket/websocket?vsn=2.0.0&token="+c.token, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	after := h.last
	if err := conn.Write(ctx, websocket.MessageText,
		fmt.Appendf(nil, `["1","1","stream:%s","phx_join",{"after":%q}]`, h.id, after)); err != nil {
		return
	}
	for !h.over {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var frame struct {
			position, event string
			payload         json.RawMessage
		}
		if err := json.Unmarshal(raw, &[]any{
			new(any), &frame.position, new(any), &frame.event,
			&frame.payload,
		}); err != nil {
			h.t.Errorf("%s: %v", raw, err)
		}
		switch {
		case frame.event != "phx_reply":
			h.take(frame.event, frame.position, frame.payload)
		case !strings.Contains(string(frame.payload), `"status":"ok"`), after != "" &&
			!strings.Contains(string(frame.payload), `"recovered":true`):
			h.t.Errorf("joining: %s", frame.payload)
		}
	}
}

// TestHopsBetweenNodes reads a completion over each transport, alternating between nodes. No text is repeated or
// missing, and no reader is told to begin anew, although nodes share a stream's text only four times per second.
func TestHopsBetweenNodes(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	hopped, end := sync.WaitGroup{}, make(chan struct{})
	env := []string{
		"DUCKWIRE_REDIS_URL=" + redistest.Start(t).URL(),
		"DUCKWIRE_UPSTREAM_URL=" + slowUpstream(t, hopPieces, end),
	}
	a, b := newServer(t, env...), newServer(t, env...)
	a.start()
	b.start()
	nodes := []*client{a.client("ada"), b.client("ada")}
	var st struct{ ID string }
	if status, answer := nodes[0].call("POST", "/v1/completions", `{"prompt":"x","model":"m"}`, &st, "Prefer",
		"respond-async"); status != http.StatusAccepted {
		t.Fatal(status, answer)
	}
	var readers sync.WaitGroup
	hopped.Add(len(hops))
	go func() { hopped.Wait(); close(end) }()
	for name, hop := range hops {
		readers.Go(func() {
			h := &hopper{t: t, id: st.ID}
			enough := sync.OnceFunc(hopped.Done)
			defer enough()
			for n := 0; !h.over && !t.Failed(); n++ {
				if n == leastHops {
					enough()
				}
				stay := time.Duration(30+rand.IntN(60)) * time.Millisecond
				stay *= time.Duration(1 + n/40) // increase it in case it is too short to read anything
				ctx, cancel := context.WithTimeout(t.Context(), stay)
				hop(h, ctx, nodes[n%2])
				cancel()
			}
			if want := content(0, 0, hopPieces); h.text != want {
				t.Errorf("%s: %d bytes, want %d: %.100q", name, len(h.text), len(want), h.text)
			}
		})
	}
	readers.Wait()
	a.stop()
	b.stop()
}
