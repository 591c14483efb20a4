package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/bench"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

const benchLong = `Put a server under load and report what it and this machine bear.

Without --url each mode starts a server of its own (this program, on a free port, with a temporary folder)
and ends it again. fanout, streams and idle then put the same load on a bare loop: a process that does
nothing but write bytes that are made already to as many plain connections. That is the floor for any
server on Go's network library, and the ratio of the two is what compares machines and versions; figures
of different machines do not. completions compares with a reverse proxy. With --url, which completions does
not take, the server's own limits hold: heavy loads need some of them at 0 or higher, such as
events_per_second, connections_per_user and streams_per_user.

Every event that is published is counted at every reader and held against its number. If one is lost,
repeated or out of order, the bench fails.

The load generator runs on the same machine and wants processor time, too: what counts is the server's
own, the column "server CPU s".`

// benchFlags are the flags that all modes have.
type benchFlags struct {
	conn   *clientFlags
	rounds int
	nodes  []int
	asJSON bool
}

func newBenchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a server and this machine bear",
		Long:  benchLong,
		Example: `  duckwire bench fanout                          1,000 readers of one topic, 20 events a second
  duckwire bench streams --batch 5               1,000 streams, 20,000 tokens a second
  duckwire bench idle --readers 10000            memory of silent connections
  duckwire bench reconnect                       everybody cut, everybody back
  duckwire bench completions                     what Duckwire adds to an upstream, beside a reverse proxy
  duckwire bench fanout --url http://127.0.0.1:4000 --token "$DUCKWIRE_TOKEN"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.Args = func(_ *cobra.Command, args []string) error { return unknownCommand(cmd, args) }
	for _, mode := range bench.Modes() {
		cmd.AddCommand(newBenchModeCmd(mode))
	}
	cmd.AddCommand(newBenchCompletionsCmd())
	cmd.AddCommand(bench.HelperCommands()...)
	return cmd
}

// newBenchCompletionsCmd completes the command for completions, which always starts its own servers.
func newBenchCompletionsCmd() *cobra.Command {
	cmd, load := bench.CompletionsCommand()
	asJSON := cmd.Flags().Bool("json", false, "print the report as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := load.Check(); err != nil {
			return usageError{err}
		}
		servers, err := routeServers(load.Rate)
		if err != nil {
			return err
		}
		report, err := servers.Run(cmd.Context(), load)
		if err != nil {
			return err
		}
		return writeReport(cmd, report, *asJSON)
	}
	return cmd
}

// writeReport prints a report as text or JSON.
func writeReport(cmd *cobra.Command, report interface{ WriteText(w io.Writer) error }, asJSON bool) error {
	if !asJSON {
		return report.WriteText(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// newBenchModeCmd completes a mode's command: it adds the flags of all modes, and the function that runs the mode.
func newBenchModeCmd(mode *bench.Mode) *cobra.Command {
	f, cmd := &benchFlags{}, mode.Command
	cmd.Flags().IntVar(&f.rounds, "rounds", mode.Rounds, "how often each server is measured; ratios are the median")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	f.conn = addClientFlags(cmd)
	cmd.Flags().Lookup("url").Usage = "a server that runs, instead of one of the bench's own"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		scenario := mode.Scenario()
		if err := atLeastOne(cmd, append(mode.Positive, "rounds")); err != nil {
			return err
		}
		if flag := cmd.Flags().Lookup("nodes"); flag != nil && flag.Changed {
			var err error
			if f.nodes, err = bench.ParseNodes(flag.Value.String()); err != nil {
				return usageError{err}
			}
		}
		report, err := f.run(cmd.Context(), scenario)
		if err != nil {
			return err
		}
		return writeReport(cmd, report, f.asJSON)
	}
	return cmd
}

// atLeastOne returns an error if a flag's number is less than one, or its duration is not positive.
func atLeastOne(cmd *cobra.Command, names []string) error {
	for _, name := range names {
		text := cmd.Flags().Lookup(name).Value.String()
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "0") && !strings.HasPrefix(text, "0.") {
			return usagef("--%s %s is too little", name, text)
		}
	}
	return nil
}

func (f *benchFlags) run(ctx context.Context, s bench.Scenario) (*bench.Report, error) {
	b := &bench.Bench{Rounds: f.rounds, Nodes: f.nodes}
	if f.conn.url != "" {
		if len(f.nodes) > 0 {
			return nil, usagef("--nodes starts servers of its own, and goes with no --url")
		}
		base, token, err := f.conn.server()
		if err != nil {
			return nil, err
		}
		if b.Target, err = bench.NewTarget(base, token); err != nil {
			return nil, usageError{err}
		}
		return b.Run(ctx, s)
	}
	if err := ownServers(b); err != nil {
		return nil, err
	}
	return b.Run(ctx, s)
}

// ownServers configures a bench to start this program, as a server and as the bare loop.
func ownServers(b *bench.Bench) error {
	self, err := newSelf()
	if err != nil {
		return err
	}
	b.Token = self.token
	b.Server = self.server
	b.Bare = func(block int) bench.Command { return self.command("bench", "bare-loop", "--block", fmt.Sprint(block)) }
	return nil
}

// routeServers returns the processes of a bench with completions, which are all this program.
func routeServers(rate float64) (*bench.RouteServers, error) {
	self, err := newSelf()
	if err != nil {
		return nil, err
	}
	return &bench.RouteServers{
		Token:    self.token,
		Upstream: self.command("bench", "upstream", "--rate", fmt.Sprint(rate)),
		Proxy: func(upstream string) bench.Command {
			return self.command("bench", "reverse-proxy", "--upstream", upstream)
		},
		Duckwire: func(upstream, dir string) bench.Command {
			c := self.server(dir)
			c.Env = append(c.Env, "DUCKWIRE_UPSTREAM_URL="+upstream+"/v1")
			return c
		},
	}, nil
}

// self is this program, to be started as a server with a generated secret and limits above any load.
type self struct {
	path  string
	env   []string
	token string // for the server
}

func newSelf() (*self, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	secret := rand.Text() + rand.Text()
	token, err := signToken(secret, tokenClaims{user: "bench", caps: devCaps, ttl: time.Hour})
	env := append(config.ForeignEnviron(),
		"DUCKWIRE_JWT_SECRET="+secret, "DUCKWIRE_STREAMS_PER_USER=100000", "DUCKWIRE_CONNECTIONS_PER_USER=1000000",
		"DUCKWIRE_HEAVY_PER_MINUTE=0", "DUCKWIRE_EVENTS_PER_SECOND=0", "DUCKWIRE_CURSORS_PER_SECOND=0",
		"DUCKWIRE_QUEUE_PER_SECOND=0", "DUCKWIRE_JOINS_PER_MINUTE=0")
	return &self{path, slices.Clip(env), token}, err
}

func (s *self) command(args ...string) bench.Command {
	return bench.Command{Path: s.path, Args: append([]string{os.Args[0]}, args...), Env: s.env}
}

// server is 'duckwire serve' on a free port, with its data in dir.
func (s *self) server(dir string) bench.Command {
	return s.command("serve", "--addr", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"))
}
