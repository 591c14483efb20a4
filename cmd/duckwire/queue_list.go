package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

// queueListing has the flags of 'duckwire queue list'.
type queueListing struct {
	user   string
	after  string
	follow bool
	asJSON bool
	limit  int
}

func newQueueListCmd() *cobra.Command {
	var want queueListing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the messages that wait, oldest first",
		Long: `Print the messages that wait, oldest first, one a line: time, position, topic, event, sender, payload. They
stay until 'duckwire queue ack' is given the position of the last that was dealt with. With --json each
line is the whole message; its id is the same however often it comes.

With --follow go on with what comes, across cuts and restarts of the server. Messages that expired before
anybody acknowledged them are told on stderr, until their position is acknowledged.`,
		Example: `  duckwire queue list
  duckwire queue list --follow --json | jq .payload
  duckwire queue list --user ada --after x7f3-q.41`,
		Args: cobra.NoArgs,
	}
	addUserFlag(cmd, &want.user)
	flags := cmd.Flags()
	flags.StringVar(&want.after, "after", "", "position to begin after (default: the oldest message)")
	flags.BoolVarP(&want.follow, "follow", "f", false, "go on with messages as they come")
	flags.BoolVar(&want.asJSON, "json", false, "print whole messages")
	flags.IntVarP(&want.limit, "limit", "n", 0, "end after so many messages (default: all)")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if want.limit < 0 {
			return usagef("--limit %d is too little; the least is 1", want.limit)
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		p := &messagePrinter{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), asJSON: want.asJSON, left: want.limit}
		return want.run(cmd.Context(), c, p, retrier(cmd, c, 0))
	}
	return cmd
}

func (w *queueListing) run(ctx context.Context, c *client.Client, p *messagePrinter, retry *client.Retrier) error {
	if w.follow {
		f := &sseclient.Follower{Client: c, Path: messagesPath(w.user), Cursor: w.after, Handle: p.take, Retry: retry}
		return f.Run(ctx)
	}
	if err := w.pages(ctx, c, p); !errors.Is(err, sseclient.ErrDone) {
		return err
	}
	return nil
}

// queuePage is an answer to GET /v1/users/{user}/messages.
type queuePage struct {
	Messages []json.RawMessage `json:"messages"`
	Expired  int               `json:"expired"`
	Through  string            `json:"expired_through"`
	Position string            `json:"position"`
	Reset    *struct {
		Reason string `json:"reason"`
	} `json:"reset"`
}

// pages prints the messages that are in the queue now.
func (w *queueListing) pages(ctx context.Context, c *client.Client, p *messagePrinter) error {
	query := url.Values{}
	for after := w.after; ; {
		if after != "" {
			query.Set("after", after)
		}
		var page queuePage
		if err := c.Get(ctx, messagesPath(w.user)+"?"+query.Encode(), &page); err != nil {
			return err
		}
		if page.Reset != nil {
			p.reset(page.Reset.Reason)
		}
		if page.Expired > 0 {
			p.expired(page.Expired, page.Through)
		}
		for _, m := range page.Messages {
			if err := p.message(m); err != nil {
				return err
			}
		}
		if len(page.Messages) == 0 || page.Position == after {
			return nil
		}
		after = page.Position
	}
}

// messagePrinter prints one line for each message.
type messagePrinter struct {
	out, notes io.Writer
	asJSON     bool
	left       int    // messages still to print; 0: no limit
	told       string // the position up to which it reported expired messages
}

// blockExpired is the block that reports expired messages.
const blockExpired = "messages_expired"

// take prints a block of an event stream.
func (p *messagePrinter) take(b sseclient.Block) error {
	switch b.Name {
	case sseclient.BlockReset:
		var reset struct{ Reason string }
		_ = json.Unmarshal(b.Data, &reset)
		p.reset(reset.Reason)
	case blockExpired:
		var e struct {
			Expired int
			Through string
		}
		_ = json.Unmarshal(b.Data, &e)
		p.expired(e.Expired, e.Through)
	case "":
		return p.message(b.Data)
	}
	return nil
}

func (p *messagePrinter) reset(reason string) {
	const gone = "duckwire: the position is none of this queue's any longer (%s); beginning at the oldest message\n"
	fmt.Fprintf(p.notes, gone, terminal.Printable(reason))
}

func (p *messagePrinter) expired(n int, through string) {
	if through == p.told {
		return
	}
	p.told = through
	fmt.Fprintf(p.notes, "duckwire: messages that expired unread: %d; 'duckwire queue ack %s' says that you know\n",
		n, terminal.Printable(through))
}

// message prints one message.
func (p *messagePrinter) message(raw json.RawMessage) error {
	var m struct {
		Position string          `json:"position"`
		Topic    string          `json:"topic"`
		Event    string          `json:"event"`
		Payload  json.RawMessage `json:"payload"`
		Sender   string          `json:"sender"`
		QueuedAt string          `json:"queued_at"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || m.Position == "" {
		return nil // not a message
	}
	var err error
	if p.asJSON {
		_, err = fmt.Fprintf(p.out, "%s\n", raw)
	} else {
		err = printColumns(p.out, m.QueuedAt, m.Position, m.Topic, m.Event, m.Sender, string(m.Payload))
	}
	if err != nil {
		return err
	}
	if p.left--; p.left == 0 {
		return sseclient.ErrDone
	}
	return nil
}
