package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Mode is a subcommand of 'duckwire bench' with its own flags.
type Mode struct {
	Command  *cobra.Command
	Rounds   int             // default number of rounds
	Positive []string        // flags that must be positive
	Scenario func() Scenario // to be called after the flags were parsed
}

// Modes returns the modes.
func Modes() []*Mode { return []*Mode{fanoutMode(), streamsMode(), idleMode(), reconnectMode()} }

func fanoutMode() *Mode {
	mode := &Fanout{}
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
	return &Mode{cmd, 3, []string{"readers", "topics", "rate", "payload", "batch", "duration"}, func() Scenario {
		if mode.Max && !flags.Changed("topics") {
			mode.Topics = min(100, mode.Readers)
		}
		return mode
	}}
}

func streamsMode() *Mode {
	mode := &Streams{}
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
	return &Mode{cmd, 3, []string{"streams", "rate", "batch", "producers", "duration"}, func() Scenario {
		if mode.Batch > 1 && !flags.Changed("rate") {
			mode.Rate = 20
		}
		return mode
	}}
}

func idleMode() *Mode {
	mode := &Idle{}
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
	return &Mode{cmd, 1, []string{"readers", "settle"}, func() Scenario { return mode }}
}

func reconnectMode() *Mode {
	mode := &Reconnect{}
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
	return &Mode{cmd, 1, []string{"readers", "missed", "cuts", "payload"}, func() Scenario { return mode }}
}

// addTransport adds the flag of modes that support both transports.
func addTransport(cmd *cobra.Command, over *Transport) {
	*over = SSE
	cmd.Flags().Var(over, "transport", "how readers read: sse, or ws, a Phoenix socket each")
}

// addNodes adds the flag of modes that support several nodes.
func addNodes(cmd *cobra.Command) {
	cmd.Flags().String("nodes", "",
		"numbers of nodes, such as 1,2,3: servers on a redis-server, each number in its turn, beside one server alone")
}

// CompletionsCommand returns the subcommand for completions, without the function that runs it, and its load.
func CompletionsCommand() (*cobra.Command, *Completions) {
	load := &Completions{}
	cmd := &cobra.Command{
		Use:   "completions",
		Short: "What Duckwire adds to an upstream's completions",
		Long: `Streamed completions of a scripted upstream, read on three routes: from the upstream itself, through a plain
reverse proxy (Go's httputil.ReverseProxy), and through Duckwire. Each is a process of its own. Each round
measures all routes, one after the other, with the same load.

The report has the time to the first token, the time that each token takes from the upstream's write to the
client's read, what the last two routes add to the first, and the processor time per token of the proxy and
of Duckwire.`,
		Example: `  duckwire bench completions
  duckwire bench completions --at-once 100 --rounds 5
  duckwire bench completions --at-once 1000 --tokens 200 --rate 10 --json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&load.Counts, "at-once", []int{10, 100, 1000},
		"how many completions at once, each number in its turn")
	flags.IntVar(&load.Tokens, "tokens", 100, "tokens of each completion")
	flags.Float64Var(&load.Rate, "rate", 20, "tokens a second, of each completion")
	flags.IntVar(&load.Rounds, "rounds", 3, "how often each route is measured; figures are medians")
	return cmd, load
}

// Check returns an error that names the flag if a parameter is out of its range.
func (s *Completions) Check() error {
	for _, n := range s.Counts {
		if n < 1 || n > maxAtOnce {
			return fmt.Errorf("--at-once %d must be from 1 to %d", n, maxAtOnce)
		}
	}
	switch {
	case len(s.Counts) == 0:
		return errors.New("--at-once wants numbers, such as 10,100")
	case s.Tokens < 1 || s.Tokens > maxTokens:
		return fmt.Errorf("--tokens %d must be from 1 to %d", s.Tokens, maxTokens)
	case !(s.Rate >= 0.1 && s.Rate <= 10_000):
		return fmt.Errorf("--rate %v must be from 0.1 to 10000", s.Rate)
	case s.Rounds < 1 || s.Rounds > 1000:
		return fmt.Errorf("--rounds %d must be from 1 to 1000", s.Rounds)
	}
	return nil
}

// HelperCommands returns the hidden commands that run the processes that modes compare with.
func HelperCommands() []*cobra.Command {
	loop, upstream, proxy := &BareLoop{}, &Upstream{}, &Proxy{}
	bare := helper("bare-loop", "The floor that other modes compare with", loop)
	bare.Flags().IntVar(&loop.Block, "block", 0, "bytes of a block")
	scripted := helper("upstream", "The upstream of 'completions'", upstream)
	scripted.Flags().Float64Var(&upstream.Rate, "rate", 20, "tokens a second, of each completion")
	plain := helper("reverse-proxy", "The reverse proxy of 'completions'", proxy)
	plain.Flags().StringVar(&proxy.Upstream, "upstream", "", "URL")
	return []*cobra.Command{bare, scripted, plain}
}

func helper(name, short string, s interface {
	Serve(ctx context.Context, log io.Writer) error
},
) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.Serve(cmd.Context(), cmd.ErrOrStderr()) },
	}
}
