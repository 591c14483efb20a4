package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
	"github.com/duckwire/duckwire/hub"
)

// jobWait is how many seconds one question for a job may wait.
const jobWait = 20

// workerCmd is what the command line of 'duckwire worker' says.
type workerCmd struct {
	kind    string
	id      string
	types   []string
	format  string
	timeout time.Duration
	once    bool
	argv    []string

	c   *client.Client
	log io.Writer
}

func newWorkerCmd() *cobra.Command {
	w := &workerCmd{}
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
		if err := w.check(); err != nil {
			return err
		}
		c, err := conn.client()
		if err != nil {
			return err
		}
		defer c.Close()
		w.c, w.log = c, cmd.ErrOrStderr()
		return w.run(cmd.Context())
	}
	return cmd
}

func (w *workerCmd) check() error {
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

// run takes jobs until ctx ends.
func (w *workerCmd) run(ctx context.Context) error {
	retry := client.NewRetrier(w.c.Pace, 0, client.Noter(w.log))
	w.note("worker %s asks for jobs", w.id)
	for {
		jobs, err := w.take(ctx)
		if err != nil {
			if err = retry.After(ctx, err); err == nil {
				continue
			}
			return asked(ctx, err)
		}
		retry.Success()
		for i := range jobs {
			err := w.do(ctx, &jobs[i])
			if w.once || ctx.Err() != nil {
				return asked(ctx, err)
			}
		}
	}
}

// asked makes the end of a worker that was asked to stop a good one.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// job is a job as the server gives it.
type job struct {
	ID, Stream, Type string
	Files            []hub.AnalysisFile
	Lease            float64 `json:"lease_seconds"`
	Epoch            int64   `json:"producer_epoch"`
}

func (w *workerCmd) jobsPath() string { return "/v1/workers/" + url.PathEscape(w.kind) + "/jobs" }

// take asks for a job, and waits some time for it.
func (w *workerCmd) take(ctx context.Context) ([]job, error) {
	query := url.Values{"worker": {w.id}, "wait": {fmt.Sprint(jobWait)}}
	if len(w.types) > 0 {
		query.Set("types", strings.Join(w.types, ","))
	}
	var answer struct{ Jobs []job }
	err := w.c.Get(ctx, w.jobsPath()+"?"+query.Encode(), &answer)
	return answer.Jobs, err
}

var errNoFiles = errors.New("the job has no files")

// do does one job, whatever comes of it, and tells of it.
func (w *workerCmd) do(ctx context.Context, j *job) error {
	began := time.Now()
	w.note("job %s: %s, %d files", j.ID, j.Type, len(j.Files))
	if len(j.Files) == 0 {
		w.refuse(j, "no files came with the job, and this worker has none of the project's")
		return errNoFiles
	}
	out := newJobStream(w.c, w.id, j)
	summary, err := w.lint(ctx, j, out)
	switch took := time.Since(began).Round(time.Millisecond); {
	case err == nil:
		w.note("job %s: %d issues in %v", j.ID, summary.Total, took)
	case ctx.Err() != nil:
		w.refuse(j, "the worker is going down")
	case errors.Is(err, errJobGone):
		w.note("job %s: stopped after %v: %v", j.ID, took, err)
	default:
		w.note("job %s: failed after %v: %v", j.ID, took, err)
		if told := out.fail(ctx, err); told != nil {
			w.note("job %s: %v", j.ID, told)
		}
	}
	return err
}

// refuse gives a job back, so that another worker gets it at once and not when the lease is over.
func (w *workerCmd) refuse(j *job, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body := map[string]any{"worker": w.id, "producer_epoch": j.Epoch, "reason": reason}
	_, _, err := w.c.Call(ctx, http.MethodPost, w.jobsPath()+"/"+url.PathEscape(j.ID)+"/refuse", body)
	if err != nil {
		w.note("job %s could not be given back: %v", j.ID, err)
		return
	}
	w.note("job %s was given back", j.ID)
}

func (w *workerCmd) note(format string, args ...any) {
	fmt.Fprintf(w.log, "duckwire: %s\n", terminal.Printable(fmt.Sprintf(format, args...)))
}
