package redis_test

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
)

// TestInstallationsOnOneRedis checks that installations with their own databases or prefixes share one Redis without
// hearing of each other.
func TestInstallationsOnOneRedis(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		database := func(n string) string {
			if strings.HasPrefix(url, "unix:") {
				return url + "?db=" + n
			}
			return url + "/" + n
		}
		type installation struct{ a, b *node }
		var all []installation
		for _, o := range []redis.Options{
			{URL: url},
			{URL: database("5")},
			{URL: url, Prefix: "one:"},
			{URL: url, Prefix: "two:"},
			{URL: database("5"), Prefix: "one:"},
		} {
			start := func() *node {
				n := &node{stopped: make(chan string, 9)}
				o.Node, o.Lease = "", lease
				n.store = open(t, o)
				s := n.store
				n.Hub = hub.New(hub.Options{Topics: s, Presences: s, Streams: s, Queue: s, Provider: n})
				t.Cleanup(n.Close)
				return n
			}
			all = append(all, installation{start(), start()})
		}
		type listener struct {
			crowd *crowd
			topic *reading
			queue *queueReader
		}
		var listeners []listener
		for _, i := range all {
			r := (&cluster{t: t, hubs: []*hub.Hub{i.b.Hub}}).read(0, log.Position{})
			t.Cleanup(r.reader.Close)
			listeners = append(listeners, listener{watchCrowd(t, i.b), r, readQueue(t, i.b)})
		}
		for n, i := range all {
			key := string(rune('a' + n))
			track(t, i.a, key, "", `{}`)
			(&cluster{t: t, hubs: []*hub.Hub{i.a.Hub}}).tell(0, key, 0)
			leave(t, i.a, key)
			s, _ := i.a.ask(t, "50", hub.StreamSpec{Alias: "same"})
			watch(t, i.b.find(t, s.ID), log.Position{}).toEnd()
			i.a.Cluster().OnCall("who", func([]byte) ([]byte, error) { return []byte(key), nil })
		}
		for n, l := range listeners {
			key := string(rune('a' + n))
			l.crowd.until(key)
			l.topic.until(func() bool { return l.topic.seen[key] == 1 })
			l.queue.until(key)
			if len(l.topic.seen) != 1 || len(l.crowd.diffs) != 1 {
				t.Errorf("installation %s heard %v, and saw %v", key, l.topic.seen, l.crowd.diffs)
			}
			if answers := all[n].b.Cluster().CallAll("who", nil); len(answers) != 1 || string(answers[0]) != key {
				t.Errorf("installation %s was answered by %q", key, answers)
			}
			if list := all[n].b.ListStreams(hub.StreamQuery{Owner: "ada", Limit: 10}); len(list) != 1 {
				t.Errorf("installation %s has %d streams", key, len(list))
			}
		}
	})
}

// TestPrefix checks that keys have their old names without a prefix, that all begin with it otherwise, and that an
// invalid prefix is refused.
func TestPrefix(t *testing.T) {
	for prefix, begin := range map[string]string{"": "dw:{", "shop-1.": "shop-1.dw:{"} {
		server := miniredis.RunT(t)
		s := open(t, redis.Options{URL: "redis://" + server.Addr(), Prefix: prefix})
		h := hub.New(hub.Options{Topics: s, Presences: s, Streams: s, Queue: s})
		n := &node{Hub: h, store: s}
		track(t, n, "ada", "", `{}`)
		leave(t, n, "m")
		if _, err := h.Publish("t", "u", []hub.EventInput{{Event: "e"}}); err != nil {
			t.Fatal(err)
		}
		hubtest.Until(t, "a presence to be kept", func() bool { return server.Exists(begin + "p:room}") })
		for _, key := range server.Keys() {
			if !strings.HasPrefix(key, begin) {
				t.Errorf("with the prefix %q there is the key %q", prefix, key)
			}
		}
		h.Close()
	}
	for _, prefix := range []string{"{x}", "a b", "a*", strings.Repeat("x", 65)} {
		_, err := redis.Open(redis.Options{URL: startMini(t), Node: "n", Prefix: prefix})
		if err == nil || !strings.Contains(err.Error(), "redis_prefix") {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}
