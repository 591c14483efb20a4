package sqlite_test

import (
	"testing"

	"github.com/duckwire/duckwire/storage/sqlite"
)

// TestEpochIsAnotherOneWhereOffsetsMayGoBack opens a file with both durabilities in turn: after Normal, a power loss
// may have set offsets back.
func TestEpochIsAnotherOneWhereOffsetsMayGoBack(t *testing.T) {
	dir := t.TempDir()
	before := ""
	for i, step := range []struct {
		durability sqlite.Durability
		another    bool
	}{
		{sqlite.Full, true},
		{sqlite.Full, false},
		{sqlite.Normal, true},
		{sqlite.Normal, true},
		{sqlite.Full, true},
		{sqlite.Full, false},
	} {
		s, err := sqlite.Open(sqlite.Options{Dir: dir, Durability: step.durability, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		epoch := s.QueueEpoch()
		if another := epoch != before; another != step.another {
			t.Errorf("opening %d: the epoch was %q and is %q", i, before, epoch)
		}
		before = epoch
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
