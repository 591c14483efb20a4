package main

import (
	"crypto/rand"
	"os/exec"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/worker"
)

func newWorkerCmd() *cobra.Command {
	w := &worker.Worker{}
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
	flags.SetInterspersed(false) // flags after COMMAND belong to it
	flags.StringVar(&w.Kind, "kind", "analysis", "kind of jobs; there is analysis")
	flags.StringVar(&w.ID, "id", "", "the worker's id, another one for each of its lives (default: by chance)")
	flags.StringSliceVar(&w.Types, "types", nil, "types of analyses to take, such as style,security (default: all)")
	flags.StringVar(&w.Format, "format", "auto", "what COMMAND prints: auto, lines or sarif")
	flags.DurationVar(&w.Timeout, "timeout", 5*time.Minute, "how long COMMAND may run")
	flags.BoolVar(&w.Once, "once", false, "end after one job; the exit code tells whether it went well")
	conn := addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w.Argv = args
		if err := checkWorker(w); err != nil {
			return err
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		w.Client, w.Log, w.Env = c, cmd.ErrOrStderr(), config.ForeignEnviron()
		return w.Run(cmd.Context())
	}
	return cmd
}

// checkWorker checks the command line, and generates an id if there is none.
func checkWorker(w *worker.Worker) error {
	if !slices.Contains([]string{"auto", "lines", "sarif"}, w.Format) {
		return usagef("--format must be auto, lines or sarif; got %q", w.Format)
	}
	if w.Kind != "analysis" {
		return usagef("--kind must be analysis; got %q", w.Kind)
	}
	if w.Timeout <= 0 {
		return usagef("--timeout must be more than 0")
	}
	if _, err := exec.LookPath(w.Argv[0]); err != nil {
		return usagef("the command cannot be run: %w", err)
	}
	if w.ID == "" {
		w.ID = "worker-" + rand.Text()
	}
	return nil
}
