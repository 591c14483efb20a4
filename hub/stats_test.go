package hub_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// asking is a provider that reports the id of each request that it gets.
type asking struct{ ids chan string }

func (a asking) Complete(_ context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	a.ids <- req.RequestID
	w.Finish(hub.Finish{Reason: "stop"})
	return nil
}

func (a asking) Analyze(_ context.Context, req *hub.AnalysisRequest, _ hub.AnalysisWriter) error {
	a.ids <- req.RequestID
	return nil
}

func (asking) Models(context.Context) ([]hub.Model, error) { return nil, nil }

// safeBuffer is a writer for logs of several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// An upstream gets the id of the request, or that of the stream if the request has none. The line in the log of the
// stream's end has it.
func TestRequestIDs(t *testing.T) {
	log := &safeBuffer{}
	a := asking{make(chan string, 1)}
	h := hub.New(hub.Options{Provider: a, Logger: slog.New(slog.NewTextHandler(log, nil))})
	begin := func(alias, id string, analysis bool) (*hub.Stream, string) {
		var s *hub.Stream
		var err error
		if analysis {
			req := &hub.AnalysisRequest{Files: []hub.AnalysisFile{{Path: "a.go", Code: "package a"}}, RequestID: id}
			s, _, err = h.Analyze(req, hub.StreamSpec{Owner: "u", Alias: alias})
		} else {
			req := &hub.CompletionRequest{Kind: hub.TextCompletion, RequestID: id}
			spec := hub.StreamSpec{Owner: "u", Alias: alias, Kind: "completion"}
			s, _, err = h.Complete(req, spec, hub.CompletionMeta{})
		}
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		return s, <-a.ids
	}
	for _, analysis := range []bool{false, true} {
		if _, got := begin("", "req-1", analysis); got != "req-1" {
			t.Errorf("the upstream got %q", got)
		}
		if s, got := begin("", "", analysis); got != s.ID {
			t.Errorf("the upstream got %q, the stream is %s", got, s.ID)
		}
	}
	h.Close()
	var lines int
	for line := range strings.Lines(log.b.String()) {
		if strings.Contains(line, "stream ended") && strings.Contains(line, "request_id=req-1") {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("%d lines with the id:\n%s", lines, &log.b)
	}
}

// Stats counts readers that are too slow, of a user or of nobody.
func TestStatsOfReaders(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{HistoryEvents: 10}})
	open := func() *hub.TopicReader {
		r, _, err := h.Subscribe("t:1", log.Position{Now: true}, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		r.Read(nil)
		return r
	}
	quick, slow := open(), open()
	s, _, err := h.CreateStream(hub.StreamSpec{Owner: "u", Kind: "k"})
	if err != nil {
		t.Fatal(err)
	}
	nobody := s.WatchUncounted(log.Position{}, log.NewWake())
	t.Cleanup(nobody.Close)
	nobody.Read(nil)
	if st := h.Stats(); st.Readers != 3 || st.Behind != 0 || st.Topics != 1 ||
		st.Streams[hub.StatusQueued]+st.Streams[hub.StatusRunning] != 1 {
		t.Errorf("%+v", st)
	}
	for range 30 {
		publish := []hub.EventInput{{Event: "e"}}
		if _, err := h.Publish("t:1", "u", publish); err != nil {
			t.Fatal(err)
		}
		quick.Read(nil)
	}
	if st := h.Stats(); st.Behind != 1 || st.Delivered[hub.ViaWait] != 30 || st.Events != 30 ||
		st.Lag.Counts[0] != 30 || st.Lag.Sum != 30 {
		t.Errorf("%+v", st)
	}
	if items, reset := slow.Read(nil); len(items) != 10 || reset == nil {
		t.Fatal(len(items), reset)
	}
	if st := h.Stats(); st.Behind != 0 || st.Delivered[hub.ViaWait] != 40 || st.Resets[log.ResetTrimmed] != 1 ||
		st.Lag.Count() != 31 || st.Lag.Sum != 60 {
		t.Errorf("%+v", st)
	}
}

// A limit is counted under its setting, whatever else its name says.
func TestLimitSetting(t *testing.T) {
	for name, want := range map[string]string{
		"live connections (connections)": "connections",
		"topics":                         "topics",
		`messages that wait for user "a (b)" (queue_max)`:            "queue_max",
		"body in bytes (body_bytes); a chunked upload may be longer": "body_bytes",
		"bytes of all conversations":                                 "other",
		"":                                                           "other",
		"odd (":                                                      "other",
		`to "someone" (Evil Name)`:                                   "other",
	} {
		if got := (&errs.LimitError{Name: name}).Setting(); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
