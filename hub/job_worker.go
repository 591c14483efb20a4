package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// maxWorkers bounds how many workers a node knows at one time.
const maxWorkers = 1000

// Worker is a program that runs analyses, as it describes itself each time it polls for a job.
type Worker struct {
	ID    string   // a new one each time it starts
	User  string   // of its token
	Types []string // of analyses that it handles; empty: all
}

type workerKey struct{ user, id string }

// worker is the hub's record of a Worker. Guarded by jobs.mu.
type worker struct {
	key      workerKey
	types    []string
	polls    map[*poll]struct{} // that wait for a job
	jobs     []*job             // that are assigned to it
	lastSeen time.Time          // at the end of its last poll or job
}

// poll is a worker's request that waits for a job.
type poll struct {
	wake     *log.Wake // there may be a job of this node
	newsWake *log.Wake // there may be a job of another node

	news []waitingJob // of other nodes, until they were asked and had no job. Guarded by jobs.mu
}

func newPoll() *poll { return &poll{wake: log.NewWake(), newsWake: log.NewWake()} }

// handles reports whether the worker runs analyses of that type.
func (k *worker) handles(kind string) bool {
	return len(k.types) == 0 || slices.Contains(k.types, kind)
}

// alive reports whether the worker polls or has a job, or did so within timeout.
func (k *worker) alive(timeout time.Duration) bool {
	return len(k.polls) > 0 || len(k.jobs) > 0 || time.Since(k.lastSeen) < timeout
}

// hasWorker reports whether this node knows a worker for analyses of that type, other than besides.
func (q *jobs) hasWorker(kind string, besides workerKey) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range q.workers {
		if k.key != besides && k.handles(kind) && k.alive(q.limits.Lease) {
			return true
		}
	}
	return false
}

// mayAssign reports whether the job may be assigned to the worker. A worker that refused the job does not get it again;
// a worker whose lease expired does if there is no other. q.mu is held.
func (q *jobs) mayAssign(j *job, k *worker) bool {
	if !k.handles(j.req.Type) {
		return false
	}
	return j.lastWorker != k.key || j.refusal == "" && !q.hasUntriedWorker(j)
}

// hasUntriedWorker reports whether there is a worker that has not had the job yet. q.mu is held.
func (q *jobs) hasUntriedWorker(j *job) bool {
	for _, k := range q.workers {
		if k.key != j.lastWorker && k.handles(j.req.Type) && k.alive(q.limits.Lease) {
			return true
		}
	}
	return false
}

func (q *jobs) wakeWorkers() {
	for _, k := range q.workers {
		for p := range k.polls {
			p.wake.Signal()
		}
	}
}

// addPoll registers a worker's poll, until removePoll is called.
func (q *jobs) addPoll(w *Worker, p *poll) (*worker, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := workerKey{w.User, w.ID}
	k := q.workers[key]
	if k == nil {
		q.expireWorkers()
		if len(q.workers) >= maxWorkers {
			return nil, &errs.LimitError{
				Kind: errs.ErrLimited, Name: "workers", Limit: maxWorkers, Retry: 10 * time.Second,
			}
		}
		k = &worker{key: key, polls: make(map[*poll]struct{})}
		q.workers[key] = k
	}
	k.types = w.Types
	k.polls[p] = struct{}{}
	return k, nil
}

func (q *jobs) removePoll(k *worker, p *poll) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(k.polls, p)
	k.lastSeen = time.Now()
}

// expireWorkers drops the workers that are not alive. q.mu is held.
func (q *jobs) expireWorkers() {
	for key, k := range q.workers {
		if !k.alive(q.limits.Lease) {
			delete(q.workers, key)
		}
	}
}

// TakeJob waits for a job and assigns it to the worker. It returns nil if ctx ends first. The worker has the job's
// lease for Limits.Lease, which each append extends. Jobs of this node come before those of other nodes.
//
// While the worker has not appended anything to a job, it gets the same job again, because the answer may have been
// lost on its way. Errors: *FieldError, *LimitError, ErrClosed while draining. Whether w.User may take jobs is for the
// caller to check.
func (h *Hub) TakeJob(ctx context.Context, w *Worker) (*Job, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	p := newPoll()
	defer h.OnDrain(p.wake)()
	k, err := h.jobs.addPoll(w, p)
	if err != nil {
		return nil, err
	}
	defer h.jobs.forwardNews(p) // after removePoll
	defer h.jobs.removePoll(k, p)
	again, stop := h.jobs.askNodesTicker()
	defer stop()
	for elsewhere := true; ; {
		if h.IsDraining() {
			return nil, errs.ErrClosed
		}
		if job := h.jobs.assign(k); job != nil {
			return job, nil
		}
		if elsewhere {
			n := h.jobs.newsCount(p)
			if job := h.jobs.takeElsewhere(w); job != nil {
				return job, nil
			}
			h.jobs.dropNews(p, n)
		}
		elsewhere = true
		select {
		case <-p.wake.C:
			elsewhere = false
		case <-p.newsWake.C:
		case <-again:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (w *Worker) check() error {
	if err := ValidName("worker", w.ID); err != nil {
		return err
	}
	for _, t := range w.Types {
		if err := ValidName("types", t); err != nil {
			return err
		}
	}
	return nil
}

// assign returns the job that the worker has and has not begun, or assigns it the next one of the queue. It returns nil
// if there is none.
func (q *jobs) assign(k *worker) *Job {
	q.mu.Lock()
	j, fresh := q.assignLocked(k)
	if j == nil {
		q.mu.Unlock()
		return nil
	}
	view := &Job{ID: j.stream.ID, Request: j.req, Epoch: j.epoch, Lease: q.limits.Lease}
	q.mu.Unlock()
	if fresh {
		j.stream.log.WakeAll()
	}
	return view
}

// assignLocked is assign with q.mu held. fresh is true for a job of the queue.
func (q *jobs) assignLocked(k *worker) (j *job, fresh bool) {
	for _, j := range k.jobs {
		if !j.stream.hasProducerStarted() {
			return j, false
		}
	}
	for _, j := range slices.Clone(q.queue) {
		if !q.mayAssign(j, k) {
			continue
		}
		q.unqueue(j)
		if !j.stream.assignTo(k.key.id, j) {
			continue // its stream has ended, and remove will be called
		}
		j.assignee = k
		k.jobs = append(k.jobs, j)
		if !slices.Contains(j.assignedUsers, k.key.user) {
			j.assignedUsers = append(j.assignedUsers, k.key.user)
		}
		return j, true
	}
	return nil, false
}

// RefuseJob gives a job back that is assigned to the worker. It is assigned to another worker, if there is one, and
// never to this one again. Errors: ErrNotFound if no worker of the user's ever had the job, *FencedError if this worker
// does not have it any longer, *EndedError if it has ended, ErrUnavailable.
func (h *Hub) RefuseJob(w *Worker, id string, epoch int64, reason string) error {
	s, err := h.Stream(w.User, id)
	if err == nil && s.isRemote() {
		return s.refuseJobElsewhere(&refusalCall{*w, id, epoch, reason})
	}
	if errors.Is(err, errs.ErrUnavailable) {
		return err
	}
	if err != nil || s.job == nil || !s.wasAssignedHere(w.User) {
		return fmt.Errorf("no such job of yours: %w", errs.ErrNotFound)
	}
	if reason = clean(reason, MaxName); reason == "" {
		reason = "without a reason"
	}
	j, key := s.job, workerKey{w.User, w.ID}
	h.jobs.mu.Lock()
	kind := ""
	if j.isAssignedTo(key, epoch) {
		kind = j.req.Type
	}
	h.jobs.mu.Unlock()
	others := kind != "" && h.jobs.hasWorkerAnywhere(kind, key) // it asks other nodes, so no lock is held
	h.jobs.mu.Lock()
	if !j.isAssignedTo(key, epoch) {
		defer h.jobs.mu.Unlock()
		s.log.Lock()
		defer s.log.Unlock()
		if s.status.Ended() {
			return s.endedErrorLocked()
		}
		return &FencedError{Epoch: j.epoch, Job: true}
	}
	h.jobs.retryAndUnlock(j, reason, others)
	return nil
}

// isAssignedTo reports whether the job is assigned to the worker in the attempt of that epoch. jobs.mu is held.
func (j *job) isAssignedTo(key workerKey, epoch int64) bool {
	return !j.removed && j.assignee != nil && j.assignee.key == key && j.epoch == epoch
}

// WasAssignedTo reports whether the stream's job is or was assigned to a worker of the user's. Such a worker may learn
// from an append that it may not write the stream any longer. ErrUnavailable if the owner node cannot be asked.
func (s *Stream) WasAssignedTo(user string) (bool, error) {
	if s.isRemote() {
		return s.wasAssignedElsewhere(user)
	}
	return s.wasAssignedHere(user), nil
}

func (s *Stream) wasAssignedHere(user string) bool {
	if s.job == nil {
		return false
	}
	s.hub.jobs.mu.Lock()
	defer s.hub.jobs.mu.Unlock()
	return slices.Contains(s.job.assignedUsers, user)
}
