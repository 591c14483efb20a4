package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

// TestOverviewOfNodes checks that every node can report the state of all nodes.
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
			event := hub.EventInput{Event: "e", Payload: fmt.Append(nil, i)}
			if _, err := n.Publish("room", "ada", []hub.EventInput{event}); err != nil {
				t.Fatal(err)
			}
		}
		defer b.EnterSession("bob", hub.ViaWebSocket)()
		mine, _ := a.ask(t, "endless", hub.StreamSpec{Owner: "ada"})
		theirs, _ := b.ask(t, "endless", hub.StreamSpec{Owner: "bob"})
		ended, _ := b.ask(t, "1", hub.StreamSpec{Owner: "bob"})
		<-ended.Done()
		for _, n := range []*node{a, b} {
			hubtest.Until(t, "the log to be there", func() bool {
				o := n.Overview(10)
				return len(o.Topics) > 0 &&
					o.Topics[0].Events == 3
			})
			o := n.Overview(10)
			if len(o.Topics) != 1 || o.Topics[0].Readers != 3 || o.AllTopics != 1 || o.LogBytes <= n.LogBytes() {
				t.Errorf("topics: %+v; %d bytes", o.Topics, o.LogBytes)
			}
			if len(o.Sessions) != 2 || o.Users != 2 || o.Sessions[0].User != "ada" || o.Sessions[0].Total != 3 ||
				o.By[hub.ViaSSE] != 3 || o.By[hub.ViaWebSocket] != 1 {
				t.Errorf("sessions: %+v by %v", o.Sessions, o.By)
			}
			if o := n.Overview(1); len(o.Topics) != 1 || len(o.Sessions) != 1 || o.Users != 2 {
				t.Errorf("in short: %+v", o)
			}
			// it is in Redis a moment later
			hubtest.Until(t, "the streams that run to be listed, the newest first", func() bool {
				list := n.ListStreams(hub.StreamQuery{All: true, Status: hub.StatusRunning, Limit: 10})
				return len(list) == 2 && list[0].ID == theirs.ID && list[1].ID == mine.ID
			})
		}
		one, other := a.Stats().Streams[hub.StatusRunning], b.Stats().Streams[hub.StatusRunning]
		if one != 1 || other != 1 {
			t.Errorf("the nodes count %d and %d running streams", one, other)
		}
		if list := a.ListStreams(hub.StreamQuery{All: true, Limit: 1}); len(list) != 1 || list[0].ID != ended.ID {
			t.Errorf("the newest: %+v", list)
		}
	})
}

// TestListLoadsNoTexts checks that a list of other nodes' streams does not load their texts.
func TestListLoadsNoTexts(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		const streams, size = 20, 256 << 10
		server := address(url)
		a, b := startNode(t, server), startNodeWith(t, server, hub.Limits{LogMemory: 4 * size})
		own, _, err := b.CreateStream(hub.StreamSpec{Kind: "k", Owner: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := appendText(own, hub.ProducerRef{ID: "p"}, strings.Repeat("o", size),
			&hub.Ending{Status: hub.StatusDone}); err != nil {
			t.Fatal(err)
		}
		for range streams {
			s, _, err := a.CreateStream(hub.StreamSpec{Kind: "k", Owner: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := appendText(s, hub.ProducerRef{ID: "p"}, strings.Repeat("x", size),
				&hub.Ending{Status: hub.StatusDone}); err != nil {
				t.Fatal(err)
			}
		}
		before := b.LogBytes()
		for _, q := range []hub.StreamQuery{{Owner: "ada", Limit: 100}, {All: true, Limit: 100}} {
			var list []hub.StreamSummary
			hubtest.Until(t, "all streams to be listed as ended", func() bool {
				list = b.ListStreams(q)
				return len(list) == streams+1 && !slices.ContainsFunc(list,
					func(s hub.StreamSummary) bool { return !s.State.Status.Ended() })
			})
			for _, s := range list {
				if s.State.Bytes != size || len(s.State.Text) > 0 || s.Owner != "ada" {
					t.Errorf("%s of %s: %d bytes, %d of them here", s.ID, s.Owner, s.State.Bytes, len(s.State.Text))
				}
			}
		}
		if after := b.LogBytes(); after != before {
			t.Errorf("the node's logs take %d bytes, and took %d before the lists", after, before)
		}
		if !own.State().Status.Ended() || own.State().Bytes != size {
			t.Error("the node's own text has gone")
		}
	})
}

// address is the URL of a Redis.
type address string

// URL returns it.
func (a address) URL() string { return string(a) }
