package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

// streamInfo is the part of a stream's JSON that the commands show (openapi.yaml: Stream).
type streamInfo struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Topic    string          `json:"topic"`
	Owner    string          `json:"owner"`
	Status   string          `json:"status"`
	Text     string          `json:"text"`
	Bytes    int64           `json:"bytes"`
	Position string          `json:"position"`
	Watchers int             `json:"watchers"`
	Usage    json.RawMessage `json:"usage"`
	Error    *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func newStreamsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "streams",
		Short: "List, show and cancel streams",
		Long: `Streams are completions and analyses on the server. They outlive the connections that watch them: list
yours, print one, or cancel it.`,
		Example: `  duckwire streams list --status running
  duckwire streams show cmp_01JD… --follow
  duckwire streams cancel cmp_01JD…`,
	}
	cmd.Args = func(_ *cobra.Command, args []string) error { return unknownCommand(cmd, args) }
	cmd.RunE = func(*cobra.Command, []string) error { return usagef("which? one of list, show, cancel") }
	cmd.AddCommand(newStreamsListCmd(), newStreamsShowCmd(), newStreamsCancelCmd())
	return cmd
}

func newStreamsListCmd() *cobra.Command {
	var status string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List your streams, newest first",
		Long:    "List your streams, newest first; with an admin's token, everyone's.",
		Example: "  duckwire streams list\n  duckwire streams list --status running --json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&status, "status", "",
		"only those: queued, running, done, failed, cancelled, superseded, interrupted")
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "at most so many (default: the server's)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's JSON")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		query := url.Values{}
		if status != "" {
			query.Set("status", status)
		}
		if limit != 0 {
			query.Set("limit", strconv.Itoa(limit))
		}
		var raw json.RawMessage
		if err := c.Get(cmd.Context(), "/v1/streams?"+query.Encode(), &raw); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), raw)
		}
		return printStreams(cmd.OutOrStdout(), raw)
	}
	return cmd
}

// printStreams writes a table of the streams in the server's answer.
func printStreams(w io.Writer, answer []byte) error {
	var list struct{ Streams []streamInfo }
	if err := client.DecodeAnswer(answer, &list); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATUS\tKIND\tOWNER\tWATCHERS\tPOSITION\tTOPIC")
	for _, s := range list.Streams {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			terminal.Printable(s.ID), terminal.Printable(s.Status), terminal.Printable(s.Kind),
			terminal.Printable(s.Owner), s.Watchers, terminal.Printable(s.Position), terminal.Printable(s.Topic))
	}
	return t.Flush()
}

func newStreamsShowCmd() *cobra.Command {
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Print a stream",
		Long: `Print a stream's state, and below it its text so far.

With --follow print the text alone, from its beginning and as it is made, to its end; the exit code tells
how it ended, as that of 'duckwire complete' does. Ctrl-C leaves the stream running.`,
		Example: "  duckwire streams show cmp_01JD…\n  duckwire streams show cmp_01JD… --follow > rest.go",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print the text as it is made")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's JSON")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if follow && asJSON {
			return usagef("give --follow or --json, not both")
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		if follow {
			text := &sseclient.Text{Out: cmd.OutOrStdout()}
			return text.Follow(cmd.Context(), c, args[0], retrier(cmd, c, 0))
		}
		var raw json.RawMessage
		if err := c.Get(cmd.Context(), client.StreamPath(args[0]), &raw); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), raw)
		}
		return printStream(cmd.OutOrStdout(), raw)
	}
	return cmd
}

// printStream writes a stream's state as lines of the form "key: value", an empty line, and its text.
func printStream(w io.Writer, answer []byte) error {
	var s streamInfo
	if err := client.DecodeAnswer(answer, &s); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	line := func(key, value string) {
		if value != "" && value != "null" {
			fmt.Fprintf(t, "%s:\t%s\n", key, terminal.Printable(value))
		}
	}
	line("id", s.ID)
	line("status", s.Status)
	if s.Error != nil {
		line("error", s.Error.Code+": "+s.Error.Message)
	}
	line("kind", s.Kind)
	line("topic", s.Topic)
	line("owner", s.Owner)
	line("position", s.Position)
	line("watchers", strconv.Itoa(s.Watchers))
	line("usage", string(s.Usage))
	if err := t.Flush(); err != nil || s.Text == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", s.Text)
	return err
}

func newStreamsCancelCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a stream, and print how it ended",
		Long: `Cancel a stream: the server stops making it, and everyone who watches sees the ending. A stream that has
ended already stays as it is. Prints the final status.`,
		Example: "  duckwire streams cancel cmp_01JD…",
		Args:    cobra.ExactArgs(1),
	}
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		_, text, err := c.Call(cmd.Context(), http.MethodDelete, client.StreamPath(args[0]), nil)
		if err != nil {
			return err
		}
		var s streamInfo
		if err := client.DecodeAnswer(text, &s); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), terminal.Printable(s.Status))
		return nil
	}
	return cmd
}
