package redis_test

import (
	"bytes"
	"testing"

	"github.com/duckwire/duckwire/storage/redis"
)

// FuzzFrame checks that a parsed frame is the same after encoding and parsing it again, and that parsing never panics.
func FuzzFrame(f *testing.F) {
	whole := redis.SomeFrame()
	for i := range len(whole) {
		f.Add(whole[:i])
	}
	f.Add(whole)
	f.Add([]byte(`{"i":"1","f":"n1","b":"eA=="}`))
	f.Add([]byte{1, 'q', 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := redis.FrameAgain(b)
		if err != nil {
			return
		}
		twice, err := redis.FrameAgain(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q became %q, and then %q: %v", b, once, twice, err)
		}
	})
}

func TestFrame(t *testing.T) {
	whole := redis.SomeFrame()
	if again, err := redis.FrameAgain(whole); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("%q became %q: %v", whole, again, err)
	}
	huge := []byte{1, 'q', 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0}
	for _, b := range [][]byte{nil, {1}, []byte(`{"i":"1"}`), whole[:8], huge} {
		if _, err := redis.FrameAgain(b); err == nil {
			t.Errorf("%q is taken for a frame", b)
		}
	}
}
