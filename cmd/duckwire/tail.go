package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

// tailing has the flags of 'duckwire tail'.
type tailing struct {
	after      string
	sinceStart bool
	asJSON     bool
	limit      int
}

func newTailCmd() *cobra.Command {
	var want tailing
	cmd := &cobra.Command{
		Use:   "tail TOPIC…",
		Short: "Print the events of topics as they come",
		Long: `Print the events of one topic or more as they come, one a line: time, topic, event, sender, payload.

It goes on across cuts and restarts of the server, without gap or repeat; where the server no longer has
what was missed, it says so on stderr. With --json each line is the event's whole envelope; its position
can be given to --after later.`,
		Example: `  duckwire tail code:project:42
  duckwire tail code:project:42 analysis:project:42 --since-start
  duckwire tail user:ada --json | jq .payload
  duckwire tail code:project:42 --after Kq3xWb2a-7.1041`,
		Args: cobra.MinimumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&want.after, "after", "", "position to begin after (default: now)")
	flags.BoolVar(&want.sinceStart, "since-start", false, "begin with the oldest event that is kept")
	flags.BoolVar(&want.asJSON, "json", false, "print whole envelopes")
	flags.IntVarP(&want.limit, "limit", "n", 0, "end after so many events (default: go on)")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, topics []string) error {
		f, err := want.follower(topics, cmd.OutOrStdout(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if f.Client, err = conn.client(); err != nil {
			return err
		}
		defer f.Client.Close()
		f.Retry = retrier(cmd, f.Client, 0)
		return f.Run(cmd.Context())
	}
	return cmd
}

// follower returns a follower of the topics, whose client is not set yet.
func (w *tailing) follower(topics []string, stdout, stderr io.Writer) (*sseclient.Follower, error) {
	for _, t := range topics {
		if id, ok := strings.CutPrefix(t, "stream:"); ok {
			return nil, usagef("%s is a stream; watch it with: duckwire streams show %s --follow", t, id)
		}
	}
	switch {
	case w.sinceStart && w.after != "":
		return nil, usagef("give --since-start or --after, not both")
	case w.sinceStart:
		w.after = "0"
	case w.limit < 0:
		return nil, usagef("--limit %d is too little; the least is 1", w.limit)
	}
	p := &eventPrinter{out: stdout, notes: stderr, asJSON: w.asJSON, left: w.limit}
	f := &sseclient.Follower{Path: "/v1/topics/" + url.PathEscape(topics[0]) + "/events", Cursor: w.after, Handle: p.take}
	if len(topics) > 1 {
		f.Path, f.Query, f.Many = "/v1/events", url.Values{"topic": topics}, true
	}
	return f, nil
}

// eventPrinter prints one line for each event of a topic.
type eventPrinter struct {
	out, notes io.Writer
	asJSON     bool
	left       int // events still to print; 0: no limit
}

// envelope is one event of a topic (openapi.yaml: Envelope).
type envelope struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
	Sender  string          `json:"sender"`
	Time    string          `json:"time"`
}

func (p *eventPrinter) take(b sseclient.Block) error {
	if b.Name == sseclient.BlockReset {
		var reset struct{ Reason, Topic string }
		_ = json.Unmarshal(b.Data, &reset)
		const missed = "duckwire: events were missed%s (%s); going on with what the server has\n"
		_, err := fmt.Fprintf(p.notes, missed, inTopic(reset.Topic), reset.Reason)
		return err
	}
	var ev envelope
	if err := json.Unmarshal(b.Data, &ev); err != nil || ev.Topic == "" {
		return nil // not an event of a topic
	}
	var err error
	if p.asJSON {
		_, err = fmt.Fprintf(p.out, "%s\n", b.Data)
	} else {
		err = printColumns(p.out, ev.Time, ev.Topic, ev.Event, ev.Sender, string(ev.Payload))
	}
	if err != nil {
		return err
	}
	if p.left--; p.left == 0 {
		return sseclient.ErrDone
	}
	return nil
}

func inTopic(topic string) string {
	if topic == "" {
		return ""
	}
	return " on " + terminal.Printable(topic)
}
