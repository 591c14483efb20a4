package redis_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestSharedStreams(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		storagetest.SharedStreams(t, func(t testing.TB) (a, b hub.SharedStreams) {
			empty(t, url)
			return open(t, redis.Options{URL: url}), open(t, redis.Options{URL: url})
		})
	})
}

func TestPresenceStore(t *testing.T) {
	backends(t, func(t *testing.T, url string) {
		storagetest.Presences(t, func(t testing.TB) (a, b hub.PresenceStore) {
			return open(t, redis.Options{URL: url}), open(t, redis.Options{URL: url})
		})
	})
}

func empty(t testing.TB, url string) {
	t.Helper()
	s := open(t, redis.Options{URL: url})
	if err := s.Forget(); err != nil {
		t.Fatal(err)
	}
}
