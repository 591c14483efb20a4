package redis_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestTopics(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		storagetest.Topics(t, func(t testing.TB) hub.TopicStore { return open(t, redis.Options{URL: startMini(t)}) })
	})
	t.Run("redis-server", func(t *testing.T) {
		storagetest.Topics(t, func(t testing.TB) hub.TopicStore { return open(t, redis.Options{URL: redistest.Start(t).URL()}) })
	})
}
