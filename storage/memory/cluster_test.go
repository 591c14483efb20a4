package memory_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/memory"
	"github.com/duckwire/duckwire/storage/storagetest"
)

// node returns a node's view, which is closed with the test.
func node(t testing.TB, c *memory.Cluster, name string) *memory.Node {
	n := c.Node(name)
	t.Cleanup(n.Close)
	return n
}

// perfect is a network on which the suites of all stores pass.
var perfect = map[string]memory.ClusterOptions{"one server": {}, "many servers": {Spread: true}}

func TestNode(t *testing.T) {
	for name, o := range perfect {
		t.Run(name, func(t *testing.T) {
			clusters := map[any]*memory.Cluster{}
			open := func(t testing.TB) *memory.Node {
				c := memory.NewCluster(o)
				n := node(t, c, "a")
				clusters[n] = c
				return n
			}
			again := func(t testing.TB, s any) *memory.Node {
				s.(*memory.Node).Close()
				n := node(t, clusters[s], "a")
				clusters[n] = clusters[s]
				return n
			}
			two := func(t testing.TB) (a, b *memory.Node) {
				c := memory.NewCluster(o)
				return node(t, c, "a"), node(t, c, "b")
			}
			t.Run("streams", func(t *testing.T) {
				storagetest.Streams(t,
					func(t *testing.T) hub.StreamStore { return open(t) },
					func(t *testing.T, s hub.StreamStore) hub.StreamStore { return again(t, s) })
			})
			t.Run("shared streams", func(t *testing.T) {
				storagetest.SharedStreams(t, func(t testing.TB) (_, _ hub.SharedStreams) {
					a, b := two(t)
					return a, b
				})
			})
			t.Run("topics", func(t *testing.T) {
				storagetest.Topics(t, func(t testing.TB) hub.TopicStore { return open(t) })
			})
			t.Run("presences", func(t *testing.T) {
				storagetest.Presences(t, func(t testing.TB) (_, _ hub.PresenceStore) {
					a, b := two(t)
					return a, b
				})
			})
			t.Run("queue", func(t *testing.T) {
				storagetest.Queue(t,
					func(t testing.TB) hub.QueueStore { return open(t) },
					func(t testing.TB, s hub.QueueStore) hub.QueueStore { return again(t, s) })
			})
			t.Run("revocations", func(t *testing.T) {
				storagetest.Revocations(t,
					func(t testing.TB) rights.RevocationStore { return open(t) },
					func(t testing.TB, s rights.RevocationStore) rights.RevocationStore { return again(t, s) })
			})
			t.Run("shared revocations", func(t *testing.T) {
				c := memory.NewCluster(o)
				storagetest.SharedRevocations(t, node(t, c, "a"), node(t, c, "b"), func() {
					c.Stop()
					c.StartEmpty()
				})
			})
			t.Run("conversations", func(t *testing.T) {
				storagetest.Conversations(t,
					func(t testing.TB) conversation.Store { return open(t) },
					func(t testing.TB, s conversation.Store) conversation.Store {
						return node(t, clusters[s], "b")
					})
			})
		})
	}
}
