package redis_test

import (
	"errors"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestUsageOverNodes checks that a user's limits count over all live nodes.
func TestUsageOverNodes(t *testing.T) {
	server := startRedis(t)
	limits := hub.Limits{StreamsPerUser: 4, JobsPerUser: 2}
	a, b := startNodeWith(t, server, limits), startNodeWith(t, server, limits)
	held := func(n *node, name string, want int) func() bool {
		return func() bool { return n.Cluster().RemoteUsage(name, "ada") == want }
	}
	start := func(n *node, user string) (*hub.Stream, error) {
		s, _, err := n.Hub.Complete(&hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: "endless"},
			hub.StreamSpec{Kind: "completion", Owner: user}, hub.CompletionMeta{})
		return s, err
	}
	var limit *errs.LimitError
	for range 3 {
		if _, err := start(a, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	hubtest.Until(t, "b to know of ada's three", held(b, "streams_per_user", 3))
	fourth, err := start(b, "ada")
	if err != nil {
		t.Fatal("the fourth:", err)
	}
	if _, err := start(b, "ada"); !errors.As(err, &limit) || limit.Limit != 4 {
		t.Errorf("the fifth: %v", err)
	}
	hubtest.Until(t, "a to know of ada's fourth", held(a, "streams_per_user", 1))
	if _, err := start(a, "ada"); !errors.As(err, &limit) {
		t.Errorf("the fifth, on the other node: %v", err)
	}
	if _, err := start(a, "bob"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	fourth.Cancel("ada")
	hubtest.Until(t, "a to know of the fourth's end", held(a, "streams_per_user", 0))
	if _, err := start(a, "ada"); err != nil {
		t.Errorf("in its place: %v", err)
	}
	hubtest.Until(t, "b to know", held(b, "streams_per_user", 4))
	a.die(t, b)
	hubtest.Until(t, "b to count a dead node's no longer", held(b, "streams_per_user", 0))
	if _, err := start(b, "ada"); err != nil {
		t.Errorf("after a node's death: %v", err)
	}
}

func TestJobUsageOverNodes(t *testing.T) {
	server := startRedis(t)
	limits := hub.Limits{JobsPerUser: 2}
	a, b := startNodeWith(t, server, limits), startNodeWith(t, server, limits)
	all := []*node{a, b}
	a.none(t, "w") // now there is one
	for i, n := range all {
		other := all[1-i]
		hubtest.Until(t, "the other's jobs to be known",
			func() bool { return n.Cluster().RemoteUsage("jobs_per_user", "ada") == i })
		if _, _, err := analyse(n); err != nil {
			t.Fatal(err)
		}
		hubtest.Until(t, "the job to be known",
			func() bool { return other.Cluster().RemoteUsage("jobs_per_user", "ada") == 1 })
	}
	var limit *errs.LimitError
	for _, n := range all {
		if _, _, err := analyse(n); !errors.As(err, &limit) || limit.Limit != 2 {
			t.Errorf("the third: %v", err)
		}
	}
}

func analyse(n *node) (*hub.Stream, bool, error) {
	return n.Analyze(&hub.AnalysisRequest{Files: []hub.AnalysisFile{{Path: "a.go", Code: "package a"}}},
		hub.StreamSpec{Owner: "ada"})
}
