package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
)

// Bench configures on which servers, and how often, a mode runs.
type Bench struct {
	Target *Target // a running server; nil: start a new server for each round
	Token  string  // for servers that are started
	Server func(dir string) Command
	Bare   func(block int) Command
	Nodes  []int // numbers of servers to start with a shared Redis, in turn, instead of the bare loop; empty: none
	Rounds int   // rounds of each server
}

// Scenario is a mode's load on one server.
type Scenario interface {
	// load returns the mode's name and parameters, for the report.
	load() (mode string, figures map[string]any)
	// run applies the load to a server and measures it.
	run(ctx context.Context, t *Target, server string) (Round, error)
	// bare reports whether the bare loop supports the load.
	bare() bool
}

// Run runs a mode. If it starts the servers, it also measures the bare loop, alternately after and before Duckwire, or
// several nodes.
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

// servers returns the servers that are measured in round i, in order.
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

// nodesName returns the report's name for n servers on a Redis.
func nodesName(n int) string { return fmt.Sprintf("%d on Redis", n) }

// round starts a server if necessary, and measures one round.
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

// start starts the named server.
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

// gather connects readers to the feeds and calls f with them. f's context is cancelled with the first error of a
// reader.
func gather(
	ctx context.Context, t *Target, feeds []*feed, readers int, keepID bool, f func(context.Context, *crowd) error,
) error {
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

// unique returns a random part for topic names, so that runs on the same server do not interfere.
func unique() string { return rand.Text()[:8] }
