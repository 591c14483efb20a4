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

// told renders the announcements of a topic, each as its event's name and the members that the tests check.
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

// TestAnnouncedAgain: if a producer resumes an interrupted stream, that, the new entries and the end are announced,
// however long after the interruption.
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

// TestAnnouncedInEveryLife checks that the interruption of a stream by a restart is announced, and what follows it.
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
