package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// job is an analysis that a client requests under its own id, and two workers who take jobs from any node.
func (w *world) job(i int, rng *rand.Rand) {
	m := w.newStreamModel(fmt.Sprintf("analyst%d", i))
	m.script = inOrder
	kind := fmt.Sprintf("kind%d", i)
	for n := range 2 {
		own, worker := child(rng), &hub.Worker{ID: fmt.Sprintf("worker%d", n), User: "w", Types: []string{kind}}
		w.work.Go(func() { m.workOn(own, worker) })
	}
	own := child(rng)
	w.work.Go(func() {
		w.rest(own, 20*time.Second)
		m.askUntilTaken(own, func(on *node) (*hub.Stream, bool, error) {
			req := &hub.AnalysisRequest{Type: kind, Files: []hub.AnalysisFile{{Path: "a.go", Code: "package a"}}}
			return on.Analyze(req, hub.StreamSpec{Owner: m.owner, Alias: "mine", Digest: "d"})
		})
	})
	m.addReaders(rng)
	w.checks = append(w.checks, m.checkCompletion)
}

// workOn takes jobs, and completes most of them.
func (m *streamModel) workOn(rng *rand.Rand, worker *hub.Worker) {
	for m.w.pause(rng, time.Second) {
		job, err := m.takeJob(rng, worker)
		if err != nil && !passing(err) {
			m.w.failf("%s cannot take jobs: %v", worker.ID, err)
		}
		if job == nil {
			continue
		}
		m.w.tracef("%s takes %s, attempt %d", worker.ID, job.ID, job.Epoch)
		if rng.IntN(6) == 0 {
			m.refuse(rng, worker, job)
			continue
		}
		pieces := int64(1 + rng.IntN(8))
		for seq := int64(0); seq < pieces; seq++ {
			if rng.IntN(30) == 0 || !m.write(rng, worker, job, seq, seq == pieces-1) {
				break // the worker stops without a word
			}
			m.checkHeld(rng, worker, job)
			m.w.rest(rng, 2*time.Second)
		}
	}
}

// refuse returns a job.
func (m *streamModel) refuse(rng *rand.Rand, worker *hub.Worker, job *hub.Job) {
	on, done := m.w.use(rng)
	defer done()
	err := on.RefuseJob(worker, job.ID, job.Epoch, "busy")
	m.w.tracef("%s refuses %s on %s: %v", worker.ID, job.ID, on.name, err)
}

// takeJob waits for a job at one node for some seconds.
func (m *streamModel) takeJob(rng *rand.Rand, worker *hub.Worker) (*hub.Job, error) {
	on, done := m.w.use(rng)
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), m.w.scaled(5*time.Second))
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-on.gone: // its connection is lost
			cancel()
		case <-stop:
		}
	}()
	return on.TakeJob(ctx, worker)
}

// write sends one request of a worker until it is answered. It reports whether the worker continues.
func (m *streamModel) write(rng *rand.Rand, worker *hub.Worker, job *hub.Job, seq int64, last bool) bool {
	ref := hub.ProducerRef{ID: worker.ID, Epoch: job.Epoch, Seq: seq}
	for range 100 {
		on, done := m.w.use(rng)
		_, err := m.sendTo(on, job.ID, ref, fmt.Sprintf("%d.%d;", ref.Epoch, ref.Seq), last)
		done()
		m.w.tracef("%s writes %d.%d on %s: %v", worker.ID, ref.Epoch, ref.Seq, on.name, err)
		if err == nil || !passing(err) && !errors.Is(err, errs.ErrNotFound) {
			return err == nil
		}
		m.w.rest(rng, time.Second)
	}
	return false
}

// checkHeld asks any node which users' workers have held the job.
func (m *streamModel) checkHeld(rng *rand.Rand, worker *hub.Worker, job *hub.Job) {
	on, done := m.w.use(rng)
	defer done()
	s, err := on.Stream(m.owner, job.ID)
	for user, want := range map[string]bool{worker.User: true, "eve": false} {
		var held bool
		if err == nil {
			held, err = s.WasAssignedTo(user)
		}
		switch {
		case err != nil && !passing(err) && !errors.Is(err, errs.ErrNotFound):
			m.w.failf("%s on %s: %v", job.ID, on.name, err)
		case err == nil && held != want && (held || !m.w.deathEver()):
			m.w.failf("%s was held by a worker of %s: %t says %s", job.ID, user, held, on.name)
		}
	}
}
