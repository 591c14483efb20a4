package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
)

// Bench is where and how often a mode runs.
type Bench struct {
	Target *Target // a server that runs; nil: servers of our own, a new one for each round
	Token  string  // for our own
	Server func(dir string) Command
	Bare   func(block int) Command
	Nodes  []int // where not empty: so many servers of our own on a Redis, each in its turn, in the place of the bare loop
	Rounds int   // of each server
}

// Scenario is one mode's load on one server that has just started.
type Scenario interface {
	// load says what will be done, for the report.
	load() (mode string, figures map[string]any)
	// run puts the load on a server and measures it.
	run(ctx context.Context, t *Target, server string) (Round, error)
	// bare says whether the bare loop can bear the same.
	bare() bool
}

// Run runs a mode. With servers of our own it is the bare loop's turn after Duckwire's, and in every second round before it; or that of several nodes.
func (b *Bench) Run(ctx context.Context, s Scenario) (*Report, error) {
	r := &Report{Machine: thisMachine()}
	r.Mode, r.Load = s.load()
	block := 0
	for i := range b.Rounds {
		for _, server := range b.servers(s, i) {
			round, err := b.round(ctx, s, server, block)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", server, i+1, err)
			}
			if server != bareLoop && block == 0 {
				block = int(round.Bytes)
			}
			r.Rounds = append(r.Rounds, round)
		}
	}
	r.finish()
	if n, ok := s.(interface{ notes(*Report) []string }); ok {
		r.Notes = n.notes(r)
	}
	if len(b.Nodes) > 0 {
		r.Notes = append(r.Notes, nodesNote)
	}
	return r, nil
}

// servers returns which servers have their turn in round i, in order.
func (b *Bench) servers(s Scenario, i int) []string {
	switch {
	case len(b.Nodes) > 0:
		names := []string{alone}
		for _, n := range b.Nodes {
			names = append(names, nodesName(n))
		}
		return names
	case b.Target != nil || !s.bare():
		return []string{duckwire}
	case i%2 == 1:
		return []string{bareLoop, duckwire}
	default:
		return []string{duckwire, bareLoop}
	}
}

// nodesName is the name of n servers on a Redis.
func nodesName(n int) string { return fmt.Sprintf("%d on Redis", n) }

// round runs one server, and the load on it.
func (b *Bench) round(ctx context.Context, s Scenario, server string, block int) (Round, error) {
	if b.Target != nil {
		return s.run(ctx, b.Target, server)
	}
	dir, err := os.MkdirTemp("", "duckwire-bench-")
	if err != nil {
		return Round{}, err
	}
	defer os.RemoveAll(dir)
	target, err := b.start(ctx, server, block, dir)
	if err != nil {
		return Round{}, err
	}
	defer target.Stop()
	return s.run(ctx, target, server)
}

// start starts the server of a name.
func (b *Bench) start(ctx context.Context, server string, block int, dir string) (*Target, error) {
	for _, n := range b.Nodes {
		if server == nodesName(n) {
			return b.startNodes(ctx, n, dir)
		}
	}
	command := b.Server(dir)
	if server == bareLoop {
		command = b.Bare(block)
	}
	command.Dir = dir
	return start(ctx, command, b.Token)
}

// gather connects readers to feeds and hands both to f, whose context ends with the first fault that any reader finds.
func gather(ctx context.Context, t *Target, feeds []*feed, readers int, keepID bool, f func(context.Context, *crowd) error) error {
	ctx, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	c := newCrowd(t, feeds, readers, keepID, failed)
	defer c.close()
	err := c.connect(ctx)
	if err == nil {
		err = f(ctx, c)
	}
	if cause := context.Cause(ctx); cause != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return cause
	}
	return err
}

// unique is part of the names of a run, so that runs on one server do not meet.
func unique() string { return rand.Text()[:8] }
