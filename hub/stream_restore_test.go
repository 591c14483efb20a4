package hub_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// After a crash, a running stream is interrupted, with the text that was saved. Readers whose position was saved
// resume; a reader that is ahead gets a reset; and a producer with a higher epoch may resume the stream.
func TestStreamsSurviveACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		h := hub.New(hub.Options{Streams: store})
		s := newStream(t, h, hub.StreamSpec{ID: "s"})
		if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1}, "saved", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		saved := s.State().Position
		crash := store.Clone()
		if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1, Seq: 1}, "lost", nil); err != nil {
			t.Fatal(err)
		}
		ahead := s.State().Position
		h.Close()

		h = hub.New(hub.Options{Streams: crash})
		defer h.Close()
		if err := h.Restore(); err != nil {
			t.Fatal(err)
		}
		s, err := h.Stream("u", "s")
		if err != nil {
			t.Fatal(err)
		}
		st := s.State()
		if st.Status != hub.StatusInterrupted || string(st.Text) != "saved" ||
			st.Ending.Error.Code != "server_restarted" {
			t.Fatalf("%s, %q, %+v", st.Status, st.Text, st.Ending)
		}
		if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1, Seq: 1}, "x", nil); !errors.Is(err, errs.ErrForbidden) {
			t.Errorf("the producer of before: %v", err)
		}
		if _, err := send(s, hub.ProducerRef{ID: "q", Epoch: 2}, " and more",
			&hub.Ending{Status: hub.StatusDone}); err != nil {
			t.Fatal(err)
		}
		r, reset := s.Watch(saved, log.NewWake())
		if items, _ := r.Read(nil); reset != nil || len(items) != 2 || string(items[0].Text) != " and more" ||
			items[0].At != len("saved") {
			t.Errorf("behind what was saved: %v, %+v", reset, items)
		}
		r.Close()
		r, reset = s.Watch(ahead, log.NewWake())
		if items, _ := r.Read(nil); reset == nil || reset.Reason != log.ResetAhead || string(items[0].Text) != "saved" {
			t.Errorf("ahead of what was saved: %v, %+v", reset, items)
		}
		r.Close()
	})
}

// An orderly stop saves everything, also what was appended just before.
func TestCloseSavesEverything(t *testing.T) {
	store := &memory.Store{}
	h := hub.New(hub.Options{Streams: store, Provider: scripted(endless)})
	done := newStream(t, h, hub.StreamSpec{ID: "done"})
	if _, err := send(done, hub.ProducerRef{}, "text",
		&hub.Ending{Status: hub.StatusDone, FinishReason: "stop"}); err != nil {
		t.Fatal(err)
	}
	running := complete(t, h, hub.StreamSpec{Alias: "mine", Digest: "d"})
	hubtest.Until(t, "the completion to begin", func() bool { return running.Status() == hub.StatusRunning })
	position := done.State().Position
	h.Close()

	h = hub.New(hub.Options{Streams: store.Clone()})
	defer h.Close()
	if err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	again, err := h.Stream("u", "done")
	if err != nil {
		t.Fatal(err)
	}
	if st := again.State(); st.Status != hub.StatusDone || string(st.Text) != "text" ||
		st.Ending.FinishReason != "stop" || !again.AtEnd(position) {
		t.Errorf("%+v", st)
	}
	if s, err := h.Stream("u", "mine"); err != nil || s.Status() != hub.StatusInterrupted {
		t.Errorf("the running one: %v", err)
	}
}

// failing is a store that fails while a test wants it to.
type failing struct {
	memory.Store
	broken atomic.Bool
}

var errDiskFull = errors.New("disk full")

func (f *failing) Save(changes []hub.StreamChange) error {
	if f.broken.Load() {
		return errDiskFull
	}
	return f.Store.Save(changes)
}

func TestStoreThatFailsIsToldAndMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failing{}
		store.broken.Store(true)
		h := newHub(t, hub.Options{Streams: store})
		s := newStream(t, h, hub.StreamSpec{ID: "s"})
		for i, text := range []string{"one ", "two ", "three"} {
			if _, err := send(s, hub.ProducerRef{ID: "p", Seq: int64(i)}, text, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if err := h.StoreError(); !errors.Is(err, errDiskFull) {
			t.Errorf("the hub says %v", err)
		}
		store.broken.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if err := h.StoreError(); err != nil {
			t.Errorf("the hub says %v after the store has healed", err)
		}
		text := ""
		_ = store.Load(func(rec *hub.StreamRecord) error {
			for _, run := range rec.Runs {
				text += string(run.Text)
			}
			return nil
		})
		if text != "one two three" {
			t.Errorf("kept: %q", text)
		}
	})
}
