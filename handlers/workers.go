package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

// jobView is a job as its worker receives it.
type jobView struct {
	ID       string             `json:"id"`
	Stream   string             `json:"stream"`
	Type     string             `json:"type"`
	Project  string             `json:"project,omitempty"`
	Files    []hub.AnalysisFile `json:"files"`
	Options  json.RawMessage    `json:"options"`
	Lease    float64            `json:"lease_seconds"`
	Producer string             `json:"producer_id"`
	Epoch    int64              `json:"producer_epoch"`
}

// mayWork checks the kind of work in the path, and the right to do it.
func (s *server) mayWork(r *http.Request) error {
	if kind := chi.URLParam(r, "kind"); kind != "analysis" {
		return fmt.Errorf("there are no workers of the kind %q; there is analysis: %w", clip(kind), errs.ErrNotFound)
	}
	return s.Authorizer.Authorize(r.Context(), auth.IdentityFrom(r.Context()), hub.WorkerTopic, rights.ActionProduce)
}

// takeJobs assigns a worker its next job, and waits for one if there is none.
func (s *server) takeJobs(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayWork(r); err != nil {
		return err
	}
	id, q := auth.IdentityFrom(r.Context()), r.URL.Query()
	wait, err := intParam(q, "wait", 0, 0, maxWait)
	if err != nil {
		return err
	}
	if err := hub.ValidName("?worker", q.Get("worker")); err != nil {
		return err
	}
	worker := hub.Worker{ID: q.Get("worker"), User: id.User}
	if q.Get("types") != "" {
		worker.Types = strings.Split(q.Get("types"), ",")
	}
	if isHead(r) { // a job would be lost
		writeHead(w, mediaJSON)
		return nil
	}
	leave, err := s.enter(r, hub.ViaWait)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(wait)*time.Second)
	defer cancel()
	defer s.onEnd(r, func(string) { cancel() })()
	job, err := s.hub.TakeJob(ctx, &worker)
	if err != nil {
		return err
	}
	jobs := []jobView{}
	if job != nil {
		jobs = append(jobs, viewJob(job, &worker))
	}
	writeJSON(w, http.StatusOK, map[string]any{"jobs": jobs})
	return nil
}

func viewJob(job *hub.Job, worker *hub.Worker) jobView {
	req := job.Request
	v := jobView{
		ID: job.ID, Stream: job.ID, Type: req.Type, Project: req.Project, Files: req.Files, Options: req.Options,
		Lease: job.Lease.Seconds(), Producer: worker.ID, Epoch: job.Epoch,
	}
	if v.Files == nil {
		v.Files = []hub.AnalysisFile{}
	}
	if v.Options == nil {
		v.Options = json.RawMessage("{}")
	}
	return v
}

// refusalBody is the body of POST /v1/workers/{kind}/jobs/{job}/refuse.
type refusalBody struct {
	Worker string `json:"worker"`
	Epoch  int64  `json:"producer_epoch"`
	Reason string `json:"reason"`
}

// refuseJob takes back a job that its worker cannot do.
func (s *server) refuseJob(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayWork(r); err != nil {
		return err
	}
	var body refusalBody
	if err := s.readJSON(r, &body); err != nil {
		return err
	}
	if err := hub.ValidName("worker", body.Worker); err != nil {
		return err
	}
	worker := hub.Worker{ID: body.Worker, User: auth.IdentityFrom(r.Context()).User}
	if err := s.hub.RefuseJob(&worker, chi.URLParam(r, "job"), body.Epoch, body.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
