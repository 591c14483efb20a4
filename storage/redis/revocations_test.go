package redis_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestRevocations(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) string{
		"miniredis":    startMini,
		"redis-server": func(t testing.TB) string { return redistest.Start(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "redis-server" {
				hubtest.Full(t, name)
			}
			urls := make(map[rights.RevocationStore]string)
			storagetest.Revocations(t,
				func(t testing.TB) rights.RevocationStore {
					url := start(t)
					s := open(t, redis.Options{URL: url})
					urls[s] = url
					return s
				},
				func(t testing.TB, s rights.RevocationStore) rights.RevocationStore {
					again := open(t, redis.Options{URL: urls[s]})
					urls[again] = urls[s]
					return again
				})
			url := start(t)
			a := open(t, redis.Options{URL: url})
			storagetest.SharedRevocations(t, a, open(t, redis.Options{URL: url}), func() {
				if err := a.Forget(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
