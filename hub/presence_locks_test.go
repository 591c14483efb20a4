package hub_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// restlessPresences is a node that loses its connection to the others whenever presences are saved: all its tables read
// the store again.
type restlessPresences struct{ *memory.Node }

func (p restlessPresences) SavePresences(topic string, metas []hub.SharedPresence) error {
	defer p.tell()
	return p.Node.SavePresences(topic, metas)
}

func (p restlessPresences) tell() {
	p.Deafen()
	p.Mend()
}

// Presence tables are refreshed, dropped with their last reader, and dropped with their topics at the same time,
// without a deadlock. With the build tag lockorder, the order of the locks is checked as well.
func TestPresenceLocks(t *testing.T) {
	c := memory.NewCluster(memory.ClusterOptions{})
	a, b := c.Node("a"), c.Node("b")
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	store := restlessPresences{a}
	h := newHub(t, hub.Options{Streams: a, Presences: store})
	other := newHub(t, hub.Options{Streams: b, Presences: b})
	rounds := 300
	if testing.Short() {
		rounds = 100
	}
	done := make(chan bool, 1)
	go func() {
		var work sync.WaitGroup
		for n := range 3 {
			topic := fmt.Sprint("t", n)
			if _, err := other.Track(topic, "ada", "", nil); err != nil {
				t.Error(err)
			}
			work.Go(func() {
				for range rounds {
					if r, err := h.SubscribePresence(topic, log.NewWake()); err != nil {
						t.Error(err)
					} else {
						r.Close()
					}
				}
			})
			for _, on := range []*hub.Hub{h, other} {
				work.Go(func() { comeAndGo(t, on, topic, rounds) })
			}
			work.Go(func() {
				for range rounds {
					h.DropTopics()
					store.tell()
				}
			})
		}
		work.Wait()
		done <- true
	}()
	hubtest.Recv(t, "the end of all rounds", done)
}

func comeAndGo(t *testing.T, h *hub.Hub, topic string, rounds int) {
	for i := range rounds {
		p, err := h.Track(topic, fmt.Sprint("user", i), "", nil)
		if err != nil {
			t.Error(err)
			continue
		}
		p.Leave()
	}
}
