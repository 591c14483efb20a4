package hub_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/hubtest/clustertest"
	"github.com/duckwire/duckwire/hub/log"
)

// restlessPresences is a store of presences that reports a gap at every call.
type restlessPresences struct {
	mu   sync.Mutex
	gaps map[int]func()
	made int
}

func (p *restlessPresences) SavePresences(string, []hub.SharedPresence) error {
	p.tell()
	return nil
}

func (p *restlessPresences) Presences(topic string) ([]hub.SharedPresence, error) {
	return []hub.SharedPresence{{ID: "1", Node: "b", Key: "ada", Meta: json.RawMessage(`{}`), Ref: "1"}}, nil
}

func (p *restlessPresences) FollowPresences(_ string, _ func([]hub.SharedPresence), gap func()) (stop func()) {
	p.mu.Lock()
	p.made++
	key := p.made
	p.gaps[key] = gap
	p.mu.Unlock()
	gap()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.gaps, key)
	}
}

// tell makes all tables load from the store again.
func (p *restlessPresences) tell() {
	p.mu.Lock()
	var gaps []func()
	for _, gap := range p.gaps {
		gaps = append(gaps, gap)
	}
	p.mu.Unlock()
	for _, gap := range gaps {
		gap()
	}
}

// Presence tables are refreshed, dropped with their last reader, and dropped with their topics at the same time,
// without a deadlock. With the build tag lockorder, the order of the locks is checked as well.
func TestPresenceLocks(t *testing.T) {
	store := &restlessPresences{gaps: make(map[int]func())}
	cluster := &clustertest.Cluster{}
	cluster.Node("b")
	h := newHub(t, hub.Options{Streams: cluster.Node("a"), Presences: store})
	rounds := 300
	if testing.Short() {
		rounds = 100
	}
	done := make(chan bool, 1)
	go func() {
		var work sync.WaitGroup
		for n := range 3 {
			topic := fmt.Sprint("t", n)
			work.Go(func() {
				for range rounds {
					if r, err := h.SubscribePresence(topic, log.NewWake()); err != nil {
						t.Error(err)
					} else {
						r.Close()
					}
				}
			})
			work.Go(func() {
				for i := range rounds {
					p, err := h.Track(topic, fmt.Sprint("user", i), "", nil)
					if err != nil {
						t.Error(err)
						continue
					}
					p.Leave()
				}
			})
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
