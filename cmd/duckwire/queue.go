package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

func newQueueCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Leave, list and acknowledge messages",
		Long: `A user's queue keeps messages until one of the user's sessions acknowledges them, or they expire. Reading
is not acknowledging: what was listed is there the next time, too.

Everybody may read their own queue. To read another's takes the action admin on user:ID, to leave a
message there the action queue.`,
		Example: `  duckwire queue push ada reminder '{"text":"review 7"}'
  duckwire queue list --follow
  duckwire queue ack x7f3-q.41`,
	}
	cmd.Args = func(_ *cobra.Command, args []string) error { return unknownCommand(cmd, args) }
	cmd.RunE = func(*cobra.Command, []string) error { return usagef("which? one of list, ack, push") }
	cmd.AddCommand(newQueueListCmd(), newQueueAckCmd(), newQueuePushCmd())
	return cmd
}

func messagesPath(user string) string { return "/v1/users/" + url.PathEscape(user) + "/messages" }

// addUserFlag adds --user.
func addUserFlag(cmd *cobra.Command, user *string) {
	cmd.Flags().StringVar(user, "user", "me", "whose queue")
}

func newQueueAckCmd() *cobra.Command {
	var user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ack POSITION",
		Short: "Acknowledge messages up to a position",
		Long: `Acknowledge all messages up to and with the one at POSITION, the second column of 'duckwire queue list': no
session gets them again. To acknowledge again changes nothing. Prints the position.`,
		Example: "  duckwire queue ack x7f3-q.41\n  duckwire queue ack x7f3-q.41 --user ada",
		Args:    cobra.ExactArgs(1),
	}
	addUserFlag(cmd, &user)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's JSON")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		var done struct {
			Through string `json:"through"`
		}
		body := map[string]string{"through": args[0]}
		text, err := c.Post(cmd.Context(), messagesPath(user)+"/ack", body, retrier(cmd, c, pushPatience))
		if err != nil {
			return err
		}
		if err := client.DecodeAnswer(text, &done); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), text)
		}
		fmt.Fprintln(cmd.OutOrStdout(), terminal.Printable(done.Through))
		return nil
	}
	return cmd
}

// left is a message for a queue.
type left struct {
	ID      string          `json:"id"`
	Topic   string          `json:"topic,omitempty"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

func newQueuePushCmd() *cobra.Command {
	var m left
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "push USER EVENT [JSON | @FILE | -]",
		Short: "Leave a message for a user, and print its position",
		Long: `Leave one message in a user's queue, and print its position once the server has it on disk. The payload is
JSON: an argument, @FILE, or - for stdin; without one it is {}.

A message with an --id that the queue knows is not left again: the answer is the first one's position.
Without --id it gets one, so that trying again after a cut cannot leave it twice. A full queue refuses it
(queue_full), and says when to try again.`,
		Example: `  duckwire queue push ada reminder '{"text":"review 7"}'
  duckwire queue push ada review_done @verdict.json --topic code:project:42 --id review-7`,
		Args: cobra.RangeArgs(2, 3),
	}
	cmd.Flags().StringVar(&m.ID, "id", "", "idempotency: the same id is left once")
	cmd.Flags().StringVar(&m.Topic, "topic", "", "what it is about (default: the user's own topic)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's JSON")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		payload, err := payloadArg(args[2:], cmd.InOrStdin())
		if err != nil {
			return err
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		m.Event, m.Payload = args[1], payload
		if m.ID == "" {
			m.ID = "cli-" + rand.Text()
		}
		text, err := c.Post(cmd.Context(), messagesPath(args[0]), m, retrier(cmd, c, pushPatience))
		if err != nil {
			return err
		}
		var queued struct{ Messages []struct{ Position string } }
		if err := client.DecodeAnswer(text, &queued); err != nil || len(queued.Messages) == 0 {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), text)
		}
		fmt.Fprintln(cmd.OutOrStdout(), terminal.Printable(queued.Messages[0].Position))
		return nil
	}
	return cmd
}
