package main

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

// worker takes analyses as jobs from a server, and runs a linter over the files of each.
type worker struct {
	kind    string        // of jobs
	id      string        // another one for each of its lives
	types   []string      // of analyses; none: all
	format  string        // what the command prints: auto, lines or sarif
	timeout time.Duration // of the command
	once    bool          // end after one job
	argv    []string      // the command
	env     []string      // its environment

	client *client.Client
	log    io.Writer
}

// run takes jobs until ctx ends.
func (w *worker) run(ctx context.Context) error {
	retry := client.NewRetrier(w.client.Pace, 0, client.Noter(w.log))
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

func (w *worker) jobsPath() string { return "/v1/workers/" + url.PathEscape(w.kind) + "/jobs" }

// take asks for a job, and waits some time for it.
func (w *worker) take(ctx context.Context) ([]job, error) {
	query := url.Values{"worker": {w.id}, "wait": {fmt.Sprint(jobWait)}}
	if len(w.types) > 0 {
		query.Set("types", strings.Join(w.types, ","))
	}
	var answer struct{ Jobs []job }
	err := w.client.Get(ctx, w.jobsPath()+"?"+query.Encode(), &answer)
	return answer.Jobs, err
}

var errNoFiles = errors.New("the job has no files")

// do does one job, whatever comes of it, and tells of it.
func (w *worker) do(ctx context.Context, j *job) error {
	began := time.Now()
	w.note("job %s: %s, %d files", j.ID, j.Type, len(j.Files))
	if len(j.Files) == 0 {
		w.refuse(j, "no files came with the job, and this worker has none of the project's")
		return errNoFiles
	}
	out := newJobStream(w.client, w.id, j)
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
func (w *worker) refuse(j *job, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body := map[string]any{"worker": w.id, "producer_epoch": j.Epoch, "reason": reason}
	_, _, err := w.client.Call(ctx, http.MethodPost, w.jobsPath()+"/"+url.PathEscape(j.ID)+"/refuse", body)
	if err != nil {
		w.note("job %s could not be given back: %v", j.ID, err)
		return
	}
	w.note("job %s was given back", j.ID)
}

func (w *worker) note(format string, args ...any) {
	fmt.Fprintf(w.log, "duckwire: %s\n", terminal.Printable(fmt.Sprintf(format, args...)))
}
