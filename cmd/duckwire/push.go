package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
)

// pushPatience is how long a push tries to reach a server that is restarting or overloaded.
const pushPatience = time.Minute

// pushed is one event to publish.
type pushed struct {
	ID        string          `json:"id"`
	Event     string          `json:"event"`
	Payload   json.RawMessage `json:"payload"`
	Ephemeral bool            `json:"ephemeral,omitempty"`
}

func newPushCmd() *cobra.Command {
	var ev pushed
	cmd := &cobra.Command{
		Use:   "push TOPIC EVENT [JSON | @FILE | -]",
		Short: "Publish an event, and print its position",
		Long: `Publish one event on a topic, and print its position. The payload is JSON: an argument, @FILE, or - for
stdin; without one it is {}.

An event with an --id that the topic has already is not published again: the answer is the first one's
position. Without --id it gets one, so that trying again after a cut cannot publish it twice.`,
		Example: `  duckwire push code:project:42 file_saved '{"path":"lib/a.ex"}'
  duckwire push code:project:42 cursor '{"line":3}' --ephemeral
  git diff --stat | jq -Rs '{text: .}' | duckwire push code:project:42 diff - --id "$(git rev-parse HEAD)"`,
		Args: cobra.RangeArgs(2, 3),
	}
	flags := cmd.Flags()
	flags.StringVar(&ev.ID, "id", "", "idempotency: the same id is published once")
	flags.BoolVar(&ev.Ephemeral, "ephemeral", false,
		"no history: only the sender's latest counts, for those who are there")
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
		ev.Event, ev.Payload = args[1], payload
		if ev.ID == "" {
			ev.ID = "cli-" + rand.Text()
		}
		retry := retrier(cmd, c, pushPatience)
		position, err := push(cmd.Context(), c, args[0], ev, retry)
		if position != "" {
			fmt.Fprintln(cmd.OutOrStdout(), position)
		}
		return err
	}
	return cmd
}

// push publishes ev, once, and returns its position: "" for an ephemeral event.
func push(ctx context.Context, c *client.Client, topic string, ev pushed, retry *client.Retrier) (string, error) {
	text, err := c.Post(ctx, "/v1/topics/"+url.PathEscape(topic)+"/events", ev, retry)
	if err != nil {
		return "", err
	}
	return publishedAt(text)
}

func publishedAt(answer []byte) (string, error) {
	var published struct {
		Events []struct{ Position string }
	}
	if err := client.DecodeAnswer(answer, &published); err != nil || len(published.Events) == 0 {
		return "", err
	}
	return published.Events[0].Position, nil
}
