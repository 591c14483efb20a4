package main

import (
	"crypto/rand"
	"os/exec"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

func newWorkerCmd() *cobra.Command {
	w := &worker{}
	cmd := &cobra.Command{
		Use:   "worker [flags] -- COMMAND [ARG…]",
		Short: "Run a linter for the server's analyses",
		Long: `Take analyses as jobs from the server, run COMMAND over each one's files, and stream what it finds.

COMMAND is any linter that prints lines of the form "path:line:column: message" (go vet, staticcheck, gcc,
eslint -f unix, mypy, shellcheck -f gcc …) or a SARIF 2.1.0 log. It runs in a fresh folder that holds the
job's files and nothing else; for Go files that come without a go.mod, one is added. An argument {} stands
for that folder ('.'), {files} for the paths of all files; a command without any argument gets '.'.
Exit codes other than 0 are no failure if there are findings, and one if there are none.

The job's files are strangers' code. Most linters only read it; some run what they find in the folder
(eslint its configuration, go vet a C compiler for cgo). Run those in a container.

The token needs the action produce on the topic worker:analysis. Run one worker for each job that is to
run at the same time.`,
		Example: `  duckwire worker -- go vet ./...
  duckwire worker --types style -- staticcheck -f sarif ./...
  duckwire worker --types security -- gcc -fsyntax-only -Wall {files}`,
		Args: cobra.MinimumNArgs(1),
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows COMMAND is its own
	flags.StringVar(&w.kind, "kind", "analysis", "kind of jobs; there is analysis")
	flags.StringVar(&w.id, "id", "", "the worker's id, another one for each of its lives (default: by chance)")
	flags.StringSliceVar(&w.types, "types", nil, "types of analyses to take, such as style,security (default: all)")
	flags.StringVar(&w.format, "format", "auto", "what COMMAND prints: auto, lines or sarif")
	flags.DurationVar(&w.timeout, "timeout", 5*time.Minute, "how long COMMAND may run")
	flags.BoolVar(&w.once, "once", false, "end after one job; the exit code tells whether it went well")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w.argv = args
		if err := checkWorker(w); err != nil {
			return err
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		w.client, w.log, w.env = c, cmd.ErrOrStderr(), config.ForeignEnviron()
		return w.run(cmd.Context())
	}
	return cmd
}

// checkWorker checks the command line, and gives a worker without an id one.
func checkWorker(w *worker) error {
	if !slices.Contains([]string{"auto", "lines", "sarif"}, w.format) {
		return usagef("--format must be auto, lines or sarif; got %q", w.format)
	}
	if w.kind != "analysis" {
		return usagef("--kind must be analysis; got %q", w.kind)
	}
	if w.timeout <= 0 {
		return usagef("--timeout must be more than 0")
	}
	if _, err := exec.LookPath(w.argv[0]); err != nil {
		return usagef("the command cannot be run: %w", err)
	}
	if w.id == "" {
		w.id = "worker-" + rand.Text()
	}
	return nil
}
