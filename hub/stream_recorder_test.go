package hub_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/memory"
)

// batches is a store that records the streams of each Save.
type batches struct {
	memory.Store
	mu    sync.Mutex
	saved []string
}

func (b *batches) list() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.saved)
}

func (b *batches) Save(changes []hub.StreamChange) error {
	ids := ""
	for i := range changes {
		ids += changes[i].ID + " "
	}
	b.mu.Lock()
	b.saved = append(b.saved, ids)
	b.mu.Unlock()
	return b.Store.Save(changes)
}

// A stream that ends is saved at once, and alone: how often the others are saved does not depend on how often one ends.
func TestAnEndIsSavedAtOnceAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &batches{}
		h := hub.New(hub.Options{Streams: store})
		defer h.Close()
		begun := time.Now()
		var streams []*hub.Stream
		for i := range 3 {
			s, _, err := h.CreateStream(hub.StreamSpec{ID: fmt.Sprint("s", i), Owner: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		for i, s := range streams {
			ending := done
			if i > 0 {
				ending = nil
			}
			if _, err := send(s, hub.ProducerRef{}, "text", ending); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := fmt.Sprint(store.list()); got != "[s0 ]" || time.Since(begun) > 0 {
			t.Errorf("at the end of s0: %s after %v", got, time.Since(begun))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := store.list(); len(got) != 2 || len(got[1]) != len("s1 s2 ") {
			t.Errorf("later: %q", got)
		}
	})
}
