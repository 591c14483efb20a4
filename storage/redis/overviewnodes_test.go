package redis_test

import (
	"fmt"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

// How all nodes stand is told by any of them.
func TestOverviewOfNodes(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		server := address(url)
		a, b := startNode(t, server), startNode(t, server)
		for i, n := range []*node{a, b, b} {
			defer n.EnterSession("ada", hub.ViaSSE)()
			r, _, err := n.Subscribe("room", log.Position{}, log.NewWake())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := n.Publish("room", "ada", []hub.EventInput{{Event: "e", Payload: fmt.Append(nil, i)}}); err != nil {
				t.Fatal(err)
			}
		}
		defer b.EnterSession("bob", hub.ViaWebSocket)()
		mine, _ := a.ask(t, "endless", hub.StreamSpec{Owner: "ada"})
		theirs, _ := b.ask(t, "endless", hub.StreamSpec{Owner: "bob"})
		ended, _ := b.ask(t, "1", hub.StreamSpec{Owner: "bob"})
		<-ended.Done()
		for _, n := range []*node{a, b} {
			hubtest.Until(t, "the log to be there", func() bool { o := n.Overview(10); return len(o.Topics) > 0 && o.Topics[0].Events == 3 })
			o := n.Overview(10)
			if len(o.Topics) != 1 || o.Topics[0].Readers != 3 || o.AllTopics != 1 || o.LogBytes <= n.LogBytes() {
				t.Errorf("topics: %+v; %d bytes", o.Topics, o.LogBytes)
			}
			if len(o.Sessions) != 2 || o.Users != 2 || o.Sessions[0].User != "ada" || o.Sessions[0].Total != 3 || o.By[hub.ViaSSE] != 3 || o.By[hub.ViaWebSocket] != 1 {
				t.Errorf("sessions: %+v by %v", o.Sessions, o.By)
			}
			if o := n.Overview(1); len(o.Topics) != 1 || len(o.Sessions) != 1 || o.Users != 2 {
				t.Errorf("in short: %+v", o)
			}
			hubtest.Until(t, "the streams that run to be listed, the newest first", func() bool { // Redis hears a moment later that they do
				n.LearnAllStreams(10, hub.StatusRunning)
				list := n.Streams(10, func(s *hub.Stream) bool { return s.Status() == hub.StatusRunning })
				return len(list) == 2 && list[0].ID == theirs.ID && list[1].ID == mine.ID
			})
		}
		if one, other := a.Stats().Streams[hub.StatusRunning], b.Stats().Streams[hub.StatusRunning]; one != 1 || other != 1 {
			t.Errorf("the nodes count %d and %d running streams", one, other)
		}
		known := func() bool { return len(a.Streams(10, func(s *hub.Stream) bool { return s.ID == ended.ID })) == 1 }
		if known() {
			t.Error("one that has ended was asked for, too")
		}
		if a.LearnAllStreams(1, ""); !known() {
			t.Error("the newest was not asked for")
		}
	})
}

// address is the URL of a Redis.
type address string

// URL returns it.
func (a address) URL() string { return string(a) }
