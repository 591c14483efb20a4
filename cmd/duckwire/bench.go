package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
of different machines do not. With --url the server's own limits hold: heavy loads need some of them at 0
or higher, such as events_per_second, connections_per_user and streams_per_user.

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
  duckwire bench fanout --url http://127.0.0.1:4000 --token "$DUCKWIRE_TOKEN"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.Args = func(_ *cobra.Command, args []string) error { return unknownCommand(cmd, args) }
	cmd.AddCommand(newBenchFanoutCmd(), newBenchStreamsCmd(), newBenchIdleCmd(), newBenchReconnectCmd(), newBenchBareCmd())
	return cmd
}

func newBenchFanoutCmd() *cobra.Command {
	mode := &bench.Fanout{}
	cmd := &cobra.Command{
		Use:   "fanout",
		Short: "Many readers of one topic",
		Long: `Many readers of one topic, over SSE or on Phoenix sockets, and one publisher.

By default events come at an even rate, and the bare loop gets the same. With --max they come in batches as
fast as the server takes them and the readers follow, on 100 topics unless --topics says otherwise (each
reader is on one of them). With --stalled N there are N readers more that never read a byte: nobody else may
notice, and the server's memory must stay bounded.`,
		Example: `  duckwire bench fanout
  duckwire bench fanout --readers 200 --rate 100 --rounds 5
  duckwire bench fanout --transport ws
  duckwire bench fanout --max
  duckwire bench fanout --max --topics 1 --readers 100
  duckwire bench fanout --nodes 1,2,3
  duckwire bench fanout --stalled 1`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&mode.Readers, "readers", 1000, "how many readers")
	flags.IntVar(&mode.Topics, "topics", 1, "topics that the readers are spread over")
	flags.Float64Var(&mode.Rate, "rate", 20, "events a second")
	flags.IntVar(&mode.Payload, "payload", 170, "bytes of an event's payload")
	flags.BoolVar(&mode.Max, "max", false, "publish as fast as it goes, on 100 topics")
	flags.IntVar(&mode.Batch, "batch", 100, "events of one request, with --max")
	flags.IntVar(&mode.Stalled, "stalled", 0, "readers more that never read")
	flags.DurationVar(&mode.Duration, "duration", 10*time.Second, "how long, in each round")
	addTransport(cmd, &mode.Over)
	addNodes(cmd)
	addBench(cmd, 3, func() (bench.Scenario, error) {
		if mode.Max && !flags.Changed("topics") {
			mode.Topics = min(100, mode.Readers)
		}
		return mode, atLeastOne(cmd, "readers", "topics", "rate", "payload", "batch", "duration")
	})
	return cmd
}

func newBenchStreamsCmd() *cobra.Command {
	mode := &bench.Streams{}
	cmd := &cobra.Command{
		Use:   "streams",
		Short: "Many streams with a reader each",
		Long: `Many streams, each with one reader over SSE and a producer that appends over HTTP: one request for each
token, or with --batch N one for N tokens of a stream.

A stream makes --rate tokens a second: 5 by default, 20 with --batch.`,
		Example: `  duckwire bench streams
  duckwire bench streams --batch 5
  duckwire bench streams --nodes 1,2,3
  duckwire bench streams --streams 200 --rate 50 --producers 4`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&mode.Streams, "streams", 1000, "how many streams")
	flags.Float64Var(&mode.Rate, "rate", 5, "tokens a second, of each stream")
	flags.IntVar(&mode.Batch, "batch", 1, "tokens of one append")
	flags.IntVar(&mode.Producers, "producers", 16, "connections that append")
	flags.DurationVar(&mode.Duration, "duration", 10*time.Second, "how long, in each round")
	addNodes(cmd)
	addBench(cmd, 3, func() (bench.Scenario, error) {
		if mode.Batch > 1 && !flags.Changed("rate") {
			mode.Rate = 20
		}
		return mode, atLeastOne(cmd, "streams", "rate", "batch", "producers", "duration")
	})
	return cmd
}

func newBenchIdleCmd() *cobra.Command {
	mode := &bench.Idle{}
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "Memory of readers on which nothing happens",
		Long: `Connect many readers to a topic on which nothing happens, and see what each takes of the server's memory.

Each takes one open file of this process and one of the server: 'ulimit -Hn' says how many there may be.`,
		Example: `  duckwire bench idle
  duckwire bench idle --readers 15000
  duckwire bench idle --transport ws --readers 10000`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&mode.Readers, "readers", 5000, "how many readers")
	flags.DurationVar(&mode.Settle, "settle", 5*time.Second, "how long to wait before memory is measured")
	addTransport(cmd, &mode.Over)
	addBench(cmd, 1, func() (bench.Scenario, error) { return mode, atLeastOne(cmd, "readers", "settle") })
	return cmd
}

func newBenchReconnectCmd() *cobra.Command {
	mode := &bench.Reconnect{}
	cmd := &cobra.Command{
		Use:   "reconnect",
		Short: "All readers cut at once, all back at once",
		Long: `Cut all readers of a topic at once, publish what they miss, and let all come back at once with their
positions. It reports how long it takes until everybody is whole, and fails if anybody is not.`,
		Example: `  duckwire bench reconnect
  duckwire bench reconnect --readers 5000 --missed 500
  duckwire bench reconnect --transport ws --missed 50`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&mode.Readers, "readers", 1000, "how many readers")
	flags.IntVar(&mode.Missed, "missed", 100, "events that they miss at each cut")
	flags.IntVar(&mode.Cuts, "cuts", 3, "how often, in each round")
	addTransport(cmd, &mode.Over)
	flags.IntVar(&mode.Payload, "payload", 170, "bytes of an event's payload")
	addBench(cmd, 1, func() (bench.Scenario, error) {
		return mode, atLeastOne(cmd, "readers", "missed", "cuts", "payload")
	})
	return cmd
}

// addTransport adds the flag of modes whose readers may come on either transport.
func addTransport(cmd *cobra.Command, over *bench.Transport) {
	*over = bench.SSE
	cmd.Flags().Var(over, "transport", "how readers read: sse, or ws, a Phoenix socket each")
}

// addNodes adds the flag of modes that may run on several nodes.
func addNodes(cmd *cobra.Command) {
	cmd.Flags().String("nodes", "", "numbers of nodes, such as 1,2,3: servers on a redis-server, each number in its turn, beside one server alone")
}

// newBenchBareCmd is the bare loop, which only bench itself starts.
func newBenchBareCmd() *cobra.Command {
	loop := &bench.BareLoop{}
	cmd := &cobra.Command{
		Use:    "bare-loop",
		Short:  "The floor that other modes compare with",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return loop.Serve(cmd.Context(), cmd.ErrOrStderr()) },
	}
	cmd.Flags().IntVar(&loop.Block, "block", 0, "bytes of a block")
	return cmd
}

// addBench adds the flags of every mode, and what runs it.
func addBench(cmd *cobra.Command, rounds int, mode func() (bench.Scenario, error)) {
	f := &benchFlags{}
	cmd.Flags().IntVar(&f.rounds, "rounds", rounds, "how often each server is measured; ratios are the median")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	f.conn = addClientFlags(cmd)
	cmd.Flags().Lookup("url").Usage = "a server that runs, instead of one of the bench's own"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		scenario, err := mode()
		if err != nil {
			return err
		}
		if flag := cmd.Flags().Lookup("nodes"); flag != nil && flag.Changed {
			if f.nodes, err = bench.ParseNodes(flag.Value.String()); err != nil {
				return usageError{err}
			}
		}
		report, err := f.run(cmd.Context(), scenario)
		if err != nil {
			return err
		}
		if f.asJSON {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(report)
		}
		return report.WriteText(cmd.OutOrStdout())
	}
}

// atLeastOne refuses numbers below one (and durations of nothing).
func atLeastOne(cmd *cobra.Command, names ...string) error {
	for _, name := range append(names, "rounds") {
		if text := cmd.Flags().Lookup(name).Value.String(); strings.HasPrefix(text, "-") || strings.HasPrefix(text, "0") && !strings.HasPrefix(text, "0.") {
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

// ownServers has a bench start this program: as a server with a secret of its own and limits that the load does not meet, and as bare loop.
func ownServers(b *bench.Bench) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	secret := rand.Text() + rand.Text()
	if b.Token, err = signToken(secret, tokenClaims{user: "bench", caps: devCaps, ttl: time.Hour}); err != nil {
		return err
	}
	env := append(config.ForeignEnviron(),
		"DUCKWIRE_JWT_SECRET="+secret, "DUCKWIRE_STREAMS_PER_USER=100000", "DUCKWIRE_CONNECTIONS_PER_USER=1000000",
		"DUCKWIRE_HEAVY_PER_MINUTE=0", "DUCKWIRE_EVENTS_PER_SECOND=0", "DUCKWIRE_CURSORS_PER_SECOND=0", "DUCKWIRE_QUEUE_PER_SECOND=0", "DUCKWIRE_JOINS_PER_MINUTE=0")
	command := func(args ...string) bench.Command {
		return bench.Command{Path: exe, Args: append([]string{os.Args[0]}, args...), Env: env}
	}
	b.Server = func(dir string) bench.Command {
		return command("serve", "--addr", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"))
	}
	b.Bare = func(block int) bench.Command { return command("bench", "bare-loop", "--block", fmt.Sprint(block)) }
	return nil
}
