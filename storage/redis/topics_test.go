package redis_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		storagetest.Topics(t, func(t testing.TB) hub.TopicStore { return open(t, redis.Options{URL: startMini(t)}) })
	})
	t.Run("redis-server", func(t *testing.T) {
		hubtest.Full(t, "redis-server")
		storagetest.Topics(t, func(t testing.TB) hub.TopicStore {
			return open(t,
				redis.Options{URL: redistest.Start(t).URL()})
		})
	})
}

// TestTopicGoesOnElsewhere checks that a position from one node is valid at once on another that lags behind.
func TestTopicGoesOnElsewhere(t *testing.T) {
	c := startCluster(t, 2, startRedis(t))
	defer c.read(1, log.Position{}).reader.Close() // node 1 mirrors the topic
	for n := range 200 {
		out, err := c.hubs[0].Publish("t", "p", []hub.EventInput{{Event: "n", Payload: json.RawMessage("1")}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := log.ParsePosition(out[0].Position)
		if err != nil {
			t.Fatal(err)
		}
		r := c.read(1, p)
		r.reader.Close()
		if len(r.resets) > 0 {
			t.Fatalf("event %d: %v", n, r.resets)
		}
	}
}

// TestTopicLosesItsLog checks that a page of a topic whose events Redis has evicted has the ephemeral ones: it ends at
// the tail, so no other page follows.
func TestTopicLosesItsLog(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		s := open(t, redis.Options{URL: url})
		limits := hub.TopicLimits{
			Events: 100, Bytes: 1 << 20, TTL: time.Hour, Ephemerals: 10, EphemeralTTL: time.Hour,
		}
		events := []hub.SharedEvent{
			{ID: "a", Event: "e", Payload: json.RawMessage("1")},
			{ID: "b", Event: "cursor", Payload: json.RawMessage("2"), Ephemeral: true},
		}
		if _, err := s.AppendEvents("t", events, limits); err != nil {
			t.Fatal(err)
		}
		if err := s.LoseLog("t"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			p, err := s.Events("t", "", 0)
			if err != nil || p.Base != 1 || p.Tail != 1 || p.First != 2 || len(p.Events) > 0 ||
				len(p.Ephemerals) != 1 || p.Ephemerals[0].ID != "b" {
				t.Errorf("%+v, %v", p, err)
			}
		}
	})
}
