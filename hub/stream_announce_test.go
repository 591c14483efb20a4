package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// told renders the announcements that a topic has, in short: the event, and what of it matters.
func told(t *testing.T, h *hub.Hub, topic string) string {
	t.Helper()
	r, _, err := h.Subscribe(topic, log.Position{}, log.NewWake())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	for _, item := range readAll(r.Read) {
		var p struct {
			Chunk   string
			Resumed bool
			Result  struct{ Status string }
		}
		if err := json.Unmarshal(item.Event.Payload(), &p); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s%s;", item.Event.Name, p.Chunk, p.Result.Status)
		if p.Resumed {
			b.WriteString("resumed;")
		}
	}
	return b.String()
}

// TestAnnouncedAgain: the topic of a stream that another producer takes on hears that it goes on, what it brings,
// and its end, however long after the interruption that is.
func TestAnnouncedAgain(t *testing.T) {
	const whole = "stream_started ;stream_chunk one;stream_error interrupted;" +
		"stream_started ;resumed;stream_chunk two;stream_done done;"
	done := &hub.Ending{Status: hub.StatusDone}
	for _, pause := range []time.Duration{0, time.Millisecond, time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.Options{Limits: hub.Limits{Lease: time.Second}})
				defer h.Close()
				s := newStream(t, h, hub.StreamSpec{Topic: "room"})
				if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1}, "one", nil); err != nil {
					t.Fatal(err)
				}
				<-s.Done()
				time.Sleep(pause)
				if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 2}, "two", done); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				got := told(t, h, "room")
				unnoticed := "stream_started ;stream_chunk one;stream_chunk two;stream_done done;"
				if got != whole && (pause > 0 || got != unnoticed) {
					t.Errorf("the topic was told  %s\nwant                %s", got, whole)
				}
			})
		})
	}
}

// TestAnnouncedInEveryLife: a topic hears of a stream that a restart has interrupted, and of what comes of it.
func TestAnnouncedInEveryLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		h := hub.New(hub.Options{Streams: store})
		s := newStream(t, h, hub.StreamSpec{ID: "s", Topic: "room"})
		if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1}, "one", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		crash := store.Clone()
		h.Close()

		h = hub.New(hub.Options{Streams: crash})
		defer h.Close()
		if err := h.Restore(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s, err := h.Stream("u", "s")
		if err != nil {
			t.Fatal(err)
		}
		done := &hub.Ending{Status: hub.StatusDone}
		if _, err := send(s, hub.ProducerRef{ID: "q", Epoch: 2}, "two", done); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want := "stream_error interrupted;stream_started ;resumed;stream_chunk two;stream_done done;"
		if got := told(t, h, "room"); got != want {
			t.Errorf("the topic was told  %s\nwant                %s", got, want)
		}
	})
}
