package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// scripted is a provider that does what a test says.
type scripted func(ctx context.Context, w hub.CompletionWriter) error

func (f scripted) Complete(ctx context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
	return f(ctx, w)
}

func (f scripted) Models(context.Context) ([]hub.Model, error) { return nil, nil }

// endless writes a token a second until it is stopped.
func endless(ctx context.Context, w hub.CompletionWriter) error {
	for {
		if err := w.Text("t"); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func complete(t *testing.T, h *hub.Hub, spec hub.StreamSpec) *hub.Stream {
	t.Helper()
	spec.Kind, spec.Owner = "completion", "u"
	s, _, err := h.Complete(&hub.CompletionRequest{Kind: hub.ChatCompletion}, spec,
		hub.CompletionMeta{Kind: hub.ChatCompletion})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeepNothingWaitsForTheFirstWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: scripted(endless)})
		defer h.Close()
		s := complete(t, h, hub.StreamSpec{Idle: hub.IdlePolicy{CancelAfter: 1}})
		unseen := complete(t, h, hub.StreamSpec{Idle: hub.IdlePolicy{CancelAfter: 1}})
		time.Sleep(100 * time.Millisecond)
		r, _ := s.Watch(log.Position{}, log.NewWake())
		time.Sleep(time.Minute)
		if s.Status() != hub.StatusRunning || unseen.Status() != hub.StatusCancelled {
			t.Errorf("watched: %s, never watched: %s", s.Status(), unseen.Status())
		}
		r.Close()
		time.Sleep(time.Millisecond)
		if s.Status() != hub.StatusCancelled {
			t.Errorf("left: %s", s.Status())
		}
	})
}

func TestKeepCancelsWhatNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: scripted(endless)})
		defer h.Close()
		s := complete(t, h, hub.StreamSpec{Idle: hub.IdlePolicy{CancelAfter: 10 * time.Second}})
		r, _ := s.Watch(log.Position{}, log.NewWake())
		time.Sleep(time.Minute)
		r.Close()
		time.Sleep(9 * time.Second)
		r, _ = s.Watch(log.Position{}, log.NewWake()) // back in time
		time.Sleep(time.Minute)
		r.Close()
		time.Sleep(9 * time.Second)
		if st := s.Status(); st != hub.StatusRunning {
			t.Fatalf("%s before its time", st)
		}
		time.Sleep(2 * time.Second)
		st := s.State()
		if st.Status != hub.StatusCancelled || st.Account.EndedBy != "unwatched" {
			t.Fatalf("%s, ended by %q", st.Status, st.Account.EndedBy)
		}
		made := st.Account.Made
		time.Sleep(time.Minute)
		if st = s.State(); st.Account.Made != made {
			t.Errorf("%d tokens were made after the end", st.Account.Made-made)
		}
		if st.Account.Unwatched < 17 || st.Account.Unwatched > 22 {
			t.Errorf("%d tokens unwatched, of about 19 or 20", st.Account.Unwatched)
		}
	})
}

// TestKeepFinishesIfCut: a chat whose reader's connection broke runs to its end; one that was left does not.
func TestKeepFinishesIfCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: scripted(endless)})
		defer h.Close()
		for _, finish := range []bool{true, false} {
			s := complete(t, h, hub.StreamSpec{Idle: hub.IdlePolicy{CancelAfter: 10 * time.Second, FinishIfCut: finish}})
			r, _ := s.Watch(log.Position{}, log.NewWake())
			s.Cut()
			r.Close()
			time.Sleep(time.Hour)
			if running := s.Status() == hub.StatusRunning; running != finish {
				t.Errorf("FinishIfCut %t: %s", finish, s.Status())
			}
		}
	})
}

func TestKeepFinishGoesOnAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: scripted(endless)})
		defer h.Close()
		s := complete(t, h, hub.StreamSpec{})
		time.Sleep(time.Hour)
		if st := s.Status(); st != hub.StatusRunning {
			t.Errorf("%s", st)
		}
	})
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: scripted(endless)})
		defer h.Close()
		first := complete(t, h, hub.StreamSpec{Slot: "cursor"})
		other := complete(t, h, hub.StreamSpec{Slot: "sidebar"})
		second := complete(t, h, hub.StreamSpec{Slot: "cursor"})
		third := complete(t, h, hub.StreamSpec{Slot: "cursor", Supersede: hub.SupersedeFinish})
		synctest.Wait()
		for _, want := range []struct {
			s      *hub.Stream
			status hub.Status
		}{
			{first, hub.StatusSuperseded},
			{other, hub.StatusRunning},
			{second, hub.StatusRunning},
			{third, hub.StatusRunning},
		} {
			if got := want.s.Status(); got != want.status {
				t.Errorf("%s, want %s", got, want.status)
			}
		}
	})
}

func TestIdempotentCompletion(t *testing.T) {
	var calls atomic.Int32
	h := newHub(t, hub.Options{Provider: scripted(func(_ context.Context, w hub.CompletionWriter) error {
		calls.Add(1)
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	})})
	start := func(owner, digest string) (*hub.Stream, bool, error) {
		return h.Complete(&hub.CompletionRequest{},
			hub.StreamSpec{Alias: "mine", Digest: digest, Kind: "completion", Owner: owner}, hub.CompletionMeta{})
	}
	a, attached, err := start("u", "x")
	if err != nil || attached {
		t.Fatal(attached, err)
	}
	<-a.Done()
	if b, attached, err := start("u", "x"); b != a || !attached || err != nil {
		t.Errorf("the same id and request: %v %v", attached, err)
	}
	if _, _, err := start("u", "y"); !errors.Is(err, errs.ErrConflict) {
		t.Errorf("the same id, another request: %v", err)
	}
	c, attached, err := start("v", "x")
	if c == a || attached || err != nil {
		t.Fatalf("the same id of another user: %v %v", attached, err)
	}
	<-c.Done()
	if got, err := h.Stream("u", "mine"); got != a || err != nil {
		t.Errorf("found by the owner's id: %v", err)
	}
	if _, err := h.Stream("w", "mine"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("found by a stranger: %v", err)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the provider was called %d times, want 2", n)
	}
}

func TestProviderFailures(t *testing.T) {
	refusal := &hub.ProviderError{
		Status: 429, Code: "rate_limit_exceeded", Message: "slow down", RetryAfter: time.Second,
		Body: json.RawMessage(`{}`),
	}
	for _, c := range []struct {
		name   string
		f      scripted
		status hub.Status
		code   string
	}{
		{
			"refusal", func(context.Context, hub.CompletionWriter) error { return refusal }, hub.StatusFailed,
			"rate_limit_exceeded",
		},
		{
			"plain error", func(context.Context, hub.CompletionWriter) error { return errors.New("boom") },
			hub.StatusFailed, "provider_error",
		},
		{"panic", func(context.Context, hub.CompletionWriter) error { panic("boom") }, hub.StatusFailed, "internal"},
		{
			"not UTF-8", func(_ context.Context, w hub.CompletionWriter) error { return w.Text("\xff") },
			hub.StatusFailed, "provider_error",
		},
		{
			"too long",
			func(_ context.Context, w hub.CompletionWriter) error { return w.Text(strings.Repeat("x", 2000)) },
			hub.StatusDone, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := complete(t, newHub(t, hub.Options{Provider: c.f, Limits: hub.Limits{StreamBytes: 1000}}),
				hub.StreamSpec{})
			<-s.Done()
			st := s.State()
			if st.Status != c.status || c.code != "" && st.Ending.Error.Code != c.code {
				t.Errorf("%s, %+v", st.Status, st.Ending)
			}
			if c.name == "too long" && st.Ending.FinishReason != "length" {
				t.Errorf("finish reason %q", st.Ending.FinishReason)
			}
		})
	}
}

func TestDrainWaitsAndCloseInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: scripted(func(ctx context.Context, w hub.CompletionWriter) error {
			for range 3 {
				time.Sleep(time.Second)
				if err := w.Text("t"); err != nil {
					return err
				}
			}
			w.Finish(hub.Finish{Reason: "stop"})
			return nil
		})})
		s := complete(t, h, hub.StreamSpec{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h.Drain(ctx)
		if st := s.Status(); st != hub.StatusDone {
			t.Errorf("%s after the drain", st)
		}
		_, _, err := h.Complete(&hub.CompletionRequest{}, hub.StreamSpec{Owner: "u"}, hub.CompletionMeta{})
		if !errors.Is(err, errs.ErrClosed) {
			t.Errorf("new work while draining: %v", err)
		}
		h.Close()

		h = hub.New(hub.Options{Provider: scripted(endless)})
		s = complete(t, h, hub.StreamSpec{})
		h.Close()
		if st := s.State(); st.Status != hub.StatusInterrupted || st.Ending.Error.Code != "server_stopped" {
			t.Errorf("%s %+v after Close", st.Status, st.Ending)
		}
	})
}

func TestCleanUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{
			Limits: hub.Limits{HistoryTTL: time.Minute, StreamTTL: time.Minute, LogMemory: 40_000},
		})
		defer h.Close()
		if _, err := h.Publish("a", "u", []hub.EventInput{{Event: "e"}}); err != nil {
			t.Fatal(err)
		}
		r, _, err := h.Subscribe("a", log.Position{}, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		old := r.Start()
		r.Close()
		s := newStream(t, h, hub.StreamSpec{})
		if _, err := send(s, hub.ProducerRef{}, "x", &hub.Ending{Status: hub.StatusDone}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if _, err := h.Stream("u", s.ID); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("an old stream: %v", err)
		}
		if n := h.LogBytes(); n != 0 {
			t.Errorf("%d bytes are left of logs", n)
		}
		r, reset, err := h.Subscribe("a", old, log.NewWake())
		if err != nil || reset == nil || reset.Reason != log.ResetEpoch {
			t.Errorf("an evicted topic: %v, %v", reset, err)
		}
		r.Close()

		for range 50 {
			s := newStream(t, h, hub.StreamSpec{})
			if _, err := send(s, hub.ProducerRef{}, strings.Repeat("x", 2000),
				&hub.Ending{Status: hub.StatusDone}); err != nil {
				t.Fatal(err)
			}
		}
		if n := h.LogBytes(); n > 45_000 {
			t.Errorf("%d bytes of logs, the limit is 40,000", n)
		}
	})
}

func TestLimits(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{StreamsPerUser: 2, Topics: 1, MessageBytes: 10, BatchEvents: 2}})
	newStream(t, h, hub.StreamSpec{})
	newStream(t, h, hub.StreamSpec{})
	var limit *errs.LimitError
	_, _, err := h.CreateStream(hub.StreamSpec{Owner: "u"})
	if !errors.As(err, &limit) || limit.Limit != 2 || !errors.Is(err, errs.ErrLimited) {
		t.Errorf("a third stream: %v", err)
	}
	publish := func(topic string, events ...hub.EventInput) error {
		_, err := h.Publish(topic, "u", events)
		return err
	}
	e := hub.EventInput{Event: "e"}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"first topic", publish("a", e), nil},
		{"second topic", publish("b", e), errs.ErrLimited},
		{"batch", publish("a", e, e, e), errs.ErrTooLarge},
		{
			"message", publish("a", hub.EventInput{Event: "e", Payload: json.RawMessage(`"12345678901"`)}),
			errs.ErrTooLarge,
		},
		{"no events", publish("a"), errs.ErrInvalid},
		{"no name", publish("a", hub.EventInput{}), errs.ErrInvalid},
		{"newline in the name", publish("a", hub.EventInput{Event: "a\nid: 1"}), errs.ErrInvalid},
		{"reserved name", publish("a", hub.EventInput{Event: "phx_reply"}), errs.ErrInvalid},
		{"bad payload", publish("a", hub.EventInput{Event: "e", Payload: json.RawMessage(`{`)}), errs.ErrInvalid},
		{
			"payload not UTF-8", publish("a", hub.EventInput{Event: "e", Payload: json.RawMessage("\"\xff\"")}),
			errs.ErrInvalid,
		},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
}

// The log line of a stream's end has its account, but nothing of its text.
func TestStreamsAccountIsLogged(t *testing.T) {
	var log bytes.Buffer
	h := hub.New(hub.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	s := newStream(t, h, hub.StreamSpec{ID: "s"})
	if _, err := send(s, hub.ProducerRef{}, "secret", nil); err != nil {
		t.Fatal(err)
	}
	s.Cancel("alice")
	h.Close()
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, log.Bytes())
	}
	for name, want := range map[string]any{
		"msg": "stream ended", "stream": "s", "status": "cancelled", "ended_by": "alice", "tokens_made": 1.0,
		"tokens_unwatched": 1.0, "error": "cancelled",
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if bytes.Contains(log.Bytes(), []byte("secret")) {
		t.Errorf("the log holds the text: %s", log.Bytes())
	}
}

// Streams without text use memory as well: the oldest ended ones are evicted.
func TestEmptyStreamsTakeRoom(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{LogMemory: 100_000}})
	first := newStream(t, h, hub.StreamSpec{})
	s := first
	for range 60 { // at 2 KiB each
		if _, err := send(s, hub.ProducerRef{}, "", &hub.Ending{Status: hub.StatusDone}); err != nil {
			t.Fatal(err)
		}
		s = newStream(t, h, hub.StreamSpec{})
	}
	if _, err := h.Stream("u", first.ID); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("the oldest of 60 streams is kept, in %d bytes: %v", h.LogBytes(), err)
	}
	if _, err := h.Stream("u", s.ID); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

// A running completion may exceed log_memory, but only up to a limit. Then it ends with its text so far, as at any
// other limit of length.
func TestRunningStreamsFillMemory(t *testing.T) {
	const most = 1 << 20
	piece := strings.Repeat("x", 1000)
	pieces := func(n int) hub.Provider {
		return scripted(func(_ context.Context, w hub.CompletionWriter) error {
			for range n {
				if err := w.Text(piece); err != nil {
					return err
				}
			}
			w.Finish(hub.Finish{Reason: "stop"})
			return nil
		})
	}
	for _, tt := range []struct {
		before, pieces int // of an ended stream, and of the one that runs
		reason         string
		whole          bool
	}{{900, 900, "stop", true}, {0, 3000, "length", false}} {
		h := newHub(t, hub.Options{Provider: pieces(tt.pieces), Limits: hub.Limits{LogMemory: most}})
		ended := newStream(t, h, hub.StreamSpec{})
		if _, err := send(ended, hub.ProducerRef{}, strings.Repeat(piece, tt.before),
			&hub.Ending{Status: hub.StatusDone}); err != nil {
			t.Fatal(err)
		}
		s, _, err := h.Complete(&hub.CompletionRequest{Kind: hub.TextCompletion},
			hub.StreamSpec{Kind: "completion", Owner: "u"}, hub.CompletionMeta{})
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		st := s.State()
		if st.Status != hub.StatusDone || st.Ending.FinishReason != tt.reason ||
			(len(st.Text) == tt.pieces*len(piece)) != tt.whole || len(st.Text) < most*7/10 {
			t.Errorf("%d behind %d: %s, %s, %d bytes", tt.pieces, tt.before, st.Status, st.Ending.FinishReason,
				len(st.Text))
		}
		if n := h.LogBytes(); n > most*5/4+2048 {
			t.Errorf("all logs take %d bytes", n)
		}
	}
}
