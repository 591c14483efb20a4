package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
	"github.com/duckwire/duckwire/hub/provider/local"
)

// completion has the flags of 'duckwire complete'.
type completion struct {
	prefixFile, suffixFile, model string
	maxTokens                     int
	patience                      time.Duration
}

func newCompleteCmd() *cobra.Command {
	var want completion
	cmd := &cobra.Command{
		Use:   "complete [flags] [PROMPT…]",
		Short: "Stream a completion to stdout",
		Long: `Stream a completion of a prompt to stdout: what the arguments say, or --prefix-file, or stdin.
With --suffix-file it is a completion in the middle, between prefix and suffix.

The text is exact: cut connections and a restart of the server cost no byte and repeat none. If the server
lost the rest, it says so and exits with 1; a completion that failed exits with 3. Ctrl-C cancels the
completion on the server, so that it costs nothing more, and exits with 130. If the answer is empty, stderr
says so: the built-in completer only continues code that resembles earlier code.`,
		Example: `  duckwire complete 'a.x = b.x; a.y = b.y; a.z ='
  duckwire complete < main.go
  duckwire complete --prefix-file before.go --suffix-file after.go --max-tokens 64
  head -40 main.go | duckwire complete --model duckwire-local > rest.go`,
		Args: cobra.ArbitraryArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&want.prefixFile, "prefix-file", "", "file of what stands before the cursor; - for stdin")
	flags.StringVar(&want.suffixFile, "suffix-file", "", "file of what stands after the cursor; - for stdin")
	flags.StringVar(&want.model, "model", "", "model to ask (default: the server's first)")
	flags.IntVar(&want.maxTokens, "max-tokens", 0, "most tokens to make (default: the server's limit)")
	flags.DurationVar(&want.patience, "patience", 5*time.Minute, "how long to try to reach a server that went away")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := want.body(args, cmd.InOrStdin())
		if err != nil {
			return err
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		retry := retrier(cmd, c, want.patience)
		err = complete(cmd.Context(), c, body, retry, cmd.OutOrStdout())
		if errors.Is(err, errEmpty) {
			fmt.Fprintln(cmd.ErrOrStderr(), emptyNotice(body["model"]))
			return nil
		}
		return err
	}
	return cmd
}

// body returns the request that the command line describes.
func (w *completion) body(args []string, stdin io.Reader) (map[string]any, error) {
	body := map[string]any{"stream": true, "model": w.model}
	switch {
	case len(args) > 0 && w.prefixFile != "":
		return nil, usagef("give a prompt or --prefix-file, not both")
	case w.maxTokens < 0:
		return nil, usagef("--max-tokens %d is too little; the least is 1", w.maxTokens)
	case w.maxTokens > 0:
		body["max_tokens"] = w.maxTokens
	}
	prompt, err := w.prompt(args, stdin)
	if err != nil {
		return nil, err
	}
	body["prompt"] = prompt
	if w.suffixFile != "" {
		suffix, err := readAll(w.suffixFile, stdin)
		if err != nil {
			return nil, err
		}
		body["suffix"] = suffix
	} else if prompt == "" {
		return nil, usagef("there is nothing to complete: give a prompt, --prefix-file, or text on stdin")
	}
	return body, nil
}

func (w *completion) prompt(args []string, stdin io.Reader) (string, error) {
	switch {
	case len(args) > 0:
		return strings.Join(args, " "), nil
	case w.prefixFile == "-" && w.suffixFile == "-":
		return "", usagef("stdin can be the prefix or the suffix, not both")
	case w.prefixFile != "":
		return readAll(w.prefixFile, stdin)
	case w.suffixFile == "-" || terminal.IsTerminal(stdin):
		return "", nil
	}
	return readAll("-", stdin)
}

// cancelTime is how long an interrupted command takes to cancel its stream.
const cancelTime = 3 * time.Second

// errEmpty is the result of a completion that is done and has no text. It is not a failure.
var errEmpty = errors.New("the answer is empty")

// emptyNotice says why an answer may be empty, and what helps.
func emptyNotice(model any) string {
	if model != local.Model {
		return fmt.Sprintf("%v: model %v proposed nothing", errEmpty, model)
	}
	return fmt.Sprintf("%v: %s found nothing to continue. It is no language model: it continues code that resembles "+
		"earlier code in the prompt. Give it more of the file; or on the server, set DUCKWIRE_LOCAL_CORPUS to a folder "+
		"of source code, or DUCKWIRE_UPSTREAM_URL to an OpenAI-compatible server.", errEmpty, local.Model)
}

// complete starts a completion and writes its text to out. It cancels the stream when ctx ends or a write fails. It
// returns errEmpty if there was no text.
func complete(ctx context.Context, c *client.Client, body map[string]any, retry *client.Retrier, out io.Writer) error {
	// An interrupted start is finished first: otherwise the stream's id would stay unknown, and nobody could cancel it.
	startCtx, cancel := outlive(ctx, cancelTime)
	defer cancel()
	id, err := startCompletion(ctx, startCtx, c, body, retry)
	if err != nil {
		return err
	}
	text := &sseclient.Text{Out: out}
	err = text.Follow(ctx, c, id, retry)
	if ctx.Err() != nil || text.OutFailed {
		stopStream(c, id)
	}
	if terminal.IsTerminal(out) && text.At > 0 {
		fmt.Fprintln(out)
	}
	if err == nil && text.At == 0 {
		return errEmpty
	}
	return err
}

// startCompletion makes the server start a completion, and returns the stream's id. It may have to send the request
// several times, but the same id attaches to the same stream.
func startCompletion(
	ctx, startCtx context.Context, c *client.Client, body map[string]any, retry *client.Retrier,
) (string, error) {
	body["duckwire"] = map[string]any{"id": "cli-" + rand.Text(), "keep": "finish"}
	for {
		id, err := tryStart(startCtx, c, body)
		if err == nil {
			retry.Success()
			return id, nil
		}
		if err := retry.After(ctx, err); err != nil {
			return "", err
		}
	}
}

func tryStart(ctx context.Context, c *client.Client, body map[string]any) (string, error) {
	if body["model"] == "" {
		model, err := firstModel(ctx, c)
		if err != nil {
			return "", err
		}
		body["model"] = model
	}
	head, _, err := c.Call(ctx, http.MethodPost, "/v1/completions", body, "Prefer", "respond-async")
	if err != nil {
		return "", err
	}
	id := head.Get("Duckwire-Stream")
	if u, err := url.Parse(head.Get("Location")); id == "" && err == nil && u.Path != "" {
		id = path.Base(u.Path)
	}
	if id == "" {
		return "", errors.New("the server started the completion but named no stream; is DUCKWIRE_URL a Duckwire server?")
	}
	return id, nil
}

// firstModel returns the first model that the server has.
func firstModel(ctx context.Context, c *client.Client) (string, error) {
	var list struct {
		Data []struct{ ID string }
	}
	if err := c.Get(ctx, "/v1/models", &list); err != nil {
		return "", err
	}
	if len(list.Data) == 0 {
		return "", errors.New("the server lists no model; name one with --model")
	}
	return list.Data[0].ID, nil
}

// stopStream cancels a stream that is no longer wanted. If that fails the stream runs to its own end.
func stopStream(c *client.Client, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), cancelTime)
	defer cancel()
	_, _, _ = c.Call(ctx, http.MethodDelete, client.StreamPath(id), nil)
}

// outlive returns a context that ends some time after ctx does.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}
