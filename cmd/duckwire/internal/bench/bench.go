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
	Rounds int // of each server
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

// Run runs a mode. With servers of our own it is the bare loop's turn after Duckwire's, and in every second round before it.
func (b *Bench) Run(ctx context.Context, s Scenario) (*Report, error) {
	r := &Report{Machine: thisMachine()}
	r.Mode, r.Load = s.load()
	block := 0
	for i := range b.Rounds {
		servers := []string{duckwire}
		if b.Target == nil && s.bare() {
			servers = append(servers, bareLoop)
			if i%2 == 1 {
				servers[0], servers[1] = servers[1], servers[0]
			}
		}
		for _, server := range servers {
			round, err := b.round(ctx, s, server, block)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", server, i+1, err)
			}
			if server == duckwire && block == 0 {
				block = int(round.Bytes)
			}
			r.Rounds = append(r.Rounds, round)
		}
	}
	r.finish()
	if n, ok := s.(interface{ notes(*Report) []string }); ok {
		r.Notes = n.notes(r)
	}
	return r, nil
}

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
	command := b.Server(dir)
	if server == bareLoop {
		command = b.Bare(block)
	}
	command.Dir = dir
	target, err := start(ctx, command, b.Token)
	if err != nil {
		return Round{}, err
	}
	defer target.Stop()
	return s.run(ctx, target, server)
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
