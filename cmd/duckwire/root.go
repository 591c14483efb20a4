package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/sseclient"
	"github.com/duckwire/duckwire/hub/nearest"
)

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1   // the server cannot be reached or refuses, or a stream has a gap
	exitUsage       = 2   // invalid command line or configuration
	exitFailed      = 3   // the stream failed, was cancelled or was superseded
	exitInterrupted = 130 // Ctrl-C, as in shells
	exitPipe        = 141 // nobody reads the output any longer, as in shells
)

// run executes one command line and returns the exit code. Unlike main it can be called by tests.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE): // the reader of our output has closed it
		return exitPipe
	}
	code := exitCode(err)
	text := err.Error()
	if text == "" { // the command has already printed everything
		return code
	}
	fmt.Fprintf(stderr, "duckwire: %s\n", text)
	if code == exitUsage && !isConfigError(err) {
		fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codeError is an error with its own exit code.
type codeError struct {
	error
	code int
}

func (e codeError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var coded codeError
	var usage usageError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage), isConfigError(err):
		return exitUsage
	case errors.As(err, new(*sseclient.FailedError)):
		return exitFailed
	}
	return exitError
}

func isConfigError(err error) bool {
	var c *config.Error
	return errors.As(err, &c) || errors.Is(err, config.ErrNoKey)
}

const rootLong = `Duckwire streams code completions and analysis results, carries channels with presence
and live cursors, and delivers what people missed while they were away.

Start here:

  duckwire serve --dev           a server to try, with its own secret
  duckwire complete 'a.x = b.x; a.y = b.y; a.z ='
                                 in another terminal: stream a completion
  duckwire tail code:project:42  watch a topic
  duckwire push code:project:42 hello '{"from":"me"}'
  duckwire queue push ada reminder    leave a message until ada acknowledges it

Client commands find the server by --url or DUCKWIRE_URL (default http://127.0.0.1:4000) and show
who they are by --token or DUCKWIRE_TOKEN. Without a token, and with a server on this machine that
was started with --dev, they use its secret in the data folder, if they can read it.

Exit codes: 0 done, 1 it did not work, 2 wrong usage or configuration, 3 a stream that failed,
130 interrupted.`

// newRoot returns the whole command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "duckwire",
		Short:         "The real-time layer for coding assistants",
		Long:          rootLong,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.Args = func(cmd *cobra.Command, args []string) error { return unknownCommand(root, args) }
	root.AddGroup(&cobra.Group{ID: "server", Title: "Server:"}, &cobra.Group{ID: "client", Title: "Client:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("server",
		newServeCmd(), newConfigCmd(), newTokenCmd(), newAPIKeyCmd(), newDoctorCmd(), newHealthCmd(), newBackupCmd())
	add("client",
		newCompleteCmd(), newTailCmd(), newPushCmd(), newQueueCmd(), newStreamsCmd(), newWorkerCmd(), newBenchCmd())
	add("", newVersionCmd())
	asUsage(root)
	return root
}

// asUsage turns cobra's errors about flags and arguments into usage errors, for all commands.
func asUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		asUsage(sub)
	}
}

// unknownCommand returns the error for an unknown command. It names the most similar one.
func unknownCommand(parent *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := nearest.Name(args[0], func(yield func(string) bool) {
		for _, c := range parent.Commands() {
			if c.IsAvailableCommand() && !yield(c.Name()) {
				return
			}
		}
	})
	if meant == "" {
		return fmt.Errorf("unknown command %q", args[0])
	}
	return fmt.Errorf("unknown command %q; did you mean %s?", args[0], meant)
}
