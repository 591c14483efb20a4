// Package worker takes analyses as jobs from a server and runs a linter for each. It is a plain client of the HTTP API.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
	"github.com/duckwire/duckwire/hub"
)

// jobWait is how many seconds one request for a job may wait.
const jobWait = 20

// Worker takes analyses as jobs from a server, and runs a linter over the files of each.
type Worker struct {
	Kind    string        // of jobs
	ID      string        // different each time the worker starts
	Types   []string      // of analyses; none: all
	Format  string        // what the command prints: auto, lines or sarif
	Timeout time.Duration // of the command
	Once    bool          // end after one job
	Argv    []string      // the command
	Env     []string      // its environment

	Client *client.Client
	Log    io.Writer
}

// Run takes jobs until ctx ends. It then returns nil.
func (w *Worker) Run(ctx context.Context) error {
	retry := client.NewRetrier(w.Client.Pace, 0, client.Noter(w.Log))
	w.note("worker %s asks for jobs", w.ID)
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
			if w.Once || ctx.Err() != nil {
				return asked(ctx, err)
			}
		}
	}
}

// asked returns nil if ctx has ended, because the worker was then asked to stop, else err.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// job is a job as the server sends it.
type job struct {
	ID, Stream, Type string
	Files            []hub.AnalysisFile
	Lease            float64 `json:"lease_seconds"`
	Epoch            int64   `json:"producer_epoch"`
}

func (w *Worker) jobsPath() string { return "/v1/workers/" + url.PathEscape(w.Kind) + "/jobs" }

// take requests a job, and waits some time for one.
func (w *Worker) take(ctx context.Context) ([]job, error) {
	query := url.Values{"worker": {w.ID}, "wait": {fmt.Sprint(jobWait)}}
	if len(w.Types) > 0 {
		query.Set("types", strings.Join(w.Types, ","))
	}
	var answer struct{ Jobs []job }
	err := w.Client.Get(ctx, w.jobsPath()+"?"+query.Encode(), &answer)
	return answer.Jobs, err
}

var errNoFiles = errors.New("the job has no files")

// do does one job and prints the outcome.
func (w *Worker) do(ctx context.Context, j *job) error {
	began := time.Now()
	w.note("job %s: %s, %d files", j.ID, j.Type, len(j.Files))
	if len(j.Files) == 0 {
		w.refuse(j, "no files came with the job, and this worker has none of the project's")
		return errNoFiles
	}
	out := newJobStream(w.Client, w.ID, j)
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

// refuse returns a job to the server, so that another worker gets it now instead of after the lease.
func (w *Worker) refuse(j *job, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body := map[string]any{"worker": w.ID, "producer_epoch": j.Epoch, "reason": reason}
	_, _, err := w.Client.Call(ctx, http.MethodPost, w.jobsPath()+"/"+url.PathEscape(j.ID)+"/refuse", body)
	if err != nil {
		w.note("job %s could not be given back: %v", j.ID, err)
		return
	}
	w.note("job %s was given back", j.ID)
}

func (w *Worker) note(format string, args ...any) {
	fmt.Fprintf(w.Log, "duckwire: %s\n", terminal.Printable(fmt.Sprintf(format, args...)))
}
