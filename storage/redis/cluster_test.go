package redis_test

import (
	"net"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
	"github.com/duckwire/duckwire/storage/storagetest"
)

// shards are the masters of a Redis Cluster.
type shards []*redistest.Server

// startShards starts a cluster of three.
func startShards(t testing.TB) (all shards) {
	t.Helper()
	create := []string{"--cluster", "create"}
	for range 3 {
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "60000")
		all = append(all, s)
		create = append(create, net.JoinHostPort("127.0.0.1", s.Port))
	}
	all[0].Command(append(create, "--cluster-yes")...)
	for _, s := range all {
		hubtest.Until(t, "the cluster to stand", func() bool {
			return strings.Contains(s.Command("CLUSTER", "INFO"), "cluster_state:ok")
		})
	}
	return all
}

// URL returns the address of one of them: the client finds the others.
func (s shards) URL() string { return "redis://127.0.0.1:" + s[0].Port }

// TestRedisCluster runs the suites on a Redis Cluster: all keys of a script must be in one slot, and a message must
// reach subscribers of any server.
func TestRedisCluster(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	shards := startShards(t)
	url := shards.URL()
	fresh := func(t testing.TB, node string) *redis.Store {
		for _, s := range shards {
			s.Empty()
		}
		return open(t, redis.Options{URL: url, Node: node})
	}
	again := func(t testing.TB) *redis.Store { return open(t, redis.Options{URL: url, Node: "same"}) }
	t.Run("streams", func(t *testing.T) {
		storagetest.Streams(t,
			func(t *testing.T) hub.StreamStore { return fresh(t, "same") },
			func(t *testing.T, _ hub.StreamStore) hub.StreamStore { return again(t) })
	})
	t.Run("queue", func(t *testing.T) {
		storagetest.Queue(t,
			func(t testing.TB) hub.QueueStore { return fresh(t, "same") },
			func(t testing.TB, _ hub.QueueStore) hub.QueueStore { return again(t) })
	})
	t.Run("topics", func(t *testing.T) {
		storagetest.Topics(t, func(t testing.TB) hub.TopicStore {
			s := fresh(t, "")
			heard := make(chan string, len(shards)) // messages of an earlier test may still be in transit
			defer s.Follow("dw:late", func(m string) { heard <- m }, func() {
				for _, shard := range shards {
					shard.Command("PUBLISH", "dw:late", "nothing")
				}
			})()
			for range shards {
				<-heard
			}
			return s
		})
	})
	t.Run("revocations", func(t *testing.T) {
		storagetest.Revocations(t,
			func(t testing.TB) rights.RevocationStore { return fresh(t, "same") },
			func(t testing.TB, _ rights.RevocationStore) rights.RevocationStore { return again(t) })
	})
	t.Run("conversations", func(t *testing.T) {
		storagetest.Conversations(t,
			func(t testing.TB) conversation.Store { return fresh(t, "same") },
			func(t testing.TB, _ conversation.Store) conversation.Store { return again(t) })
	})
	for name, test := range map[string]func(*testing.T, addressed){
		"completion on another node": completionOnAnotherNode, "cancel on another node": cancelOnAnotherNode,
		"watched on another node": watchedOnAnotherNode, "node dies with streams": nodeDiesWithStreams,
		"presence over nodes": presenceOverNodes,
	} {
		t.Run(name, func(t *testing.T) {
			fresh(t, "").Close()
			test(t, shards)
		})
	}
	t.Run("queue over nodes", func(t *testing.T) {
		fresh(t, "").Close()
		a, b := startNode(t, shards), startNode(t, shards)
		leave(t, a, "before")
		here, there := readQueue(t, a), readQueue(t, b)
		leave(t, b, "one")
		here.until("before", "one")
		there.until("before", "one")
	})
}
