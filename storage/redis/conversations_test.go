package redis_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestConversations(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) string{
		"miniredis":    startMini,
		"redis-server": func(t testing.TB) string { return redistest.Start(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "redis-server" {
				hubtest.Full(t, name)
			}
			urls := make(map[conversation.Store]string)
			storagetest.Conversations(t,
				func(t testing.TB) conversation.Store {
					url := start(t)
					s := open(t, redis.Options{URL: url})
					urls[s] = url
					return s
				},
				func(t testing.TB, s conversation.Store) conversation.Store {
					return open(t, redis.Options{URL: urls[s]})
				})
		})
	}
}
