package memory_test

import (
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/memory"
	"github.com/duckwire/duckwire/storage/storagetest"
)

func TestStreams(t *testing.T) {
	storagetest.Streams(t,
		func(*testing.T) hub.StreamStore { return &memory.Store{} },
		func(_ *testing.T, s hub.StreamStore) hub.StreamStore { return s.(*memory.Store).Clone() })
}

func TestQueue(t *testing.T) {
	storagetest.Queue(t,
		func(testing.TB) hub.QueueStore { return memory.NewQueue() },
		func(_ testing.TB, s hub.QueueStore) hub.QueueStore { return s.(*memory.Queue).Clone() })
}

func TestTopics(t *testing.T) {
	storagetest.Topics(t, func(testing.TB) hub.TopicStore { return memory.NewTopics() })
}

func TestRevocations(t *testing.T) {
	storagetest.Revocations(t,
		func(testing.TB) rights.RevocationStore { return &memory.Revocations{} },
		func(_ testing.TB, s rights.RevocationStore) rights.RevocationStore { return s })
}
