package proxies_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// ladderResult is the result of our own client behind a proxy.
type ladderResult struct {
	Rung    string
	Reached float64 // ms until the channel was joined
	Works   bool
	Live    bool
	First   float64 // ms until the first piece of a stream, from then on
	Why     string
}

// String returns a cell of the table.
func (r *ladderResult) String() string {
	switch {
	case !r.Works:
		return "–"
	case !r.Live:
		return r.Rung + ", held"
	}
	return r.Rung
}

// bundleClient bundles our client into one file, and returns its path.
func bundleClient(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "duckwire.mjs")
	if out, err := exec.Command("node", "bundle.mjs", file).CombinedOutput(); err != nil {
		t.Fatalf("node bundle.mjs: %v\n%s", err, out)
	}
	return file
}

// climb runs our own client through a proxy.
func climb(ctx context.Context, o *origin, s *nodeSettings) (ladderResult, error) {
	var r ladderResult
	err := runNode(ctx, o, "ladder.mjs", s, &r)
	return r, err
}
