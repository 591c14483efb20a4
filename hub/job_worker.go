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

// maxWorkers bounds how many workers are known at one time.
const maxWorkers = 1000

// Worker is a program that does analyses, as it introduces itself each time it asks for a job.
type Worker struct {
	ID    string   // its own; another one for each life of it
	User  string   // whose token it has
	Types []string // of analyses that it takes; empty: all
}

type workerKey struct{ user, id string }

// worker is what the hub knows of a worker. Guarded by jobs.mu.
type worker struct {
	key      workerKey
	types    []string
	polls    map[*poll]struct{} // its questions that wait for an answer
	jobs     []*job             // those that it holds
	lastSeen time.Time          // when it was last heard of
}

// poll is a question for a job that waits for an answer.
type poll struct {
	wake     *log.Wake // there may be a job of this node's
	newsWake *log.Wake // or of another's

	news []waitingJob // what news was of, until the other nodes were asked in vain. Guarded by jobs.mu
}

// handles reports whether the worker does analyses of that type.
func (k *worker) handles(kind string) bool {
	return len(k.types) == 0 || slices.Contains(k.types, kind)
}

// alive reports whether the worker asks for jobs, holds one, or did a short while ago.
func (k *worker) alive(grace time.Duration) bool {
	return len(k.polls) > 0 || len(k.jobs) > 0 || time.Since(k.lastSeen) < grace
}

// serves reports whether there is a worker for analyses of that type, besides one.
func (q *jobs) serves(kind string, besides workerKey) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range q.workers {
		if k.key != besides && k.handles(kind) && k.alive(q.limits.Lease) {
			return true
		}
	}
	return false
}

// mayAssign reports whether the job may go to the worker. Whoever refused it does not get it again; whoever fell silent
// over it does only if there is no other. q.mu is held.
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

// addPoll notes that a worker asks for jobs, until leave is called.
func (q *jobs) addPoll(w *Worker, p *poll) (*worker, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := workerKey{w.User, w.ID}
	k := q.workers[key]
	if k == nil {
		q.expireWorkers()
		if len(q.workers) >= maxWorkers {
			return nil, &errs.LimitError{Kind: errs.ErrLimited, Name: "workers", Limit: maxWorkers, Retry: 10 * time.Second}
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

// expireWorkers drops those that have not been heard of. q.mu is held.
func (q *jobs) expireWorkers() {
	for key, k := range q.workers {
		if !k.alive(q.limits.Lease) {
			delete(q.workers, key)
		}
	}
}

// TakeJob waits for a job that the worker may do, and hands it out; nil when ctx ends before there is one. From then on
// the worker holds it for Limits.Lease, and longer by each append. The jobs of other nodes are handed out behind those
// of this one.
//
// A job that was handed out and not begun by an append is handed out again to the same worker, since the answer may
// have been lost on its way. Errors: *FieldError, *LimitError, ErrClosed while draining. Whether w.User may take jobs
// is the caller's to check.
func (h *Hub) TakeJob(ctx context.Context, w *Worker) (*Job, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	p := &poll{wake: log.NewWake(), newsWake: log.NewWake()}
	defer h.OnDrain(p.wake)()
	k, err := h.jobs.addPoll(w, p)
	if err != nil {
		return nil, err
	}
	defer h.jobs.forwardNews(p) // once it has left
	defer h.jobs.removePoll(k, p)
	again, stop := h.askNodesTicker()
	defer stop()
	for elsewhere := true; ; {
		if h.IsDraining() {
			return nil, errs.ErrClosed
		}
		if job := h.assignJob(k); job != nil {
			return job, nil
		}
		if elsewhere {
			told := h.jobs.newsCount(p)
			if job := h.takeRemoteJob(w); job != nil {
				return job, nil
			}
			h.jobs.dropNews(p, told)
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

// assignJob gives the worker the job that it should be doing, or the first that waits for it.
func (h *Hub) assignJob(k *worker) *Job {
	h.jobs.mu.Lock()
	j, fresh := h.jobs.next(k)
	if j == nil {
		h.jobs.mu.Unlock()
		return nil
	}
	view := &Job{ID: j.stream.ID, Request: j.req, Epoch: j.epoch, Lease: h.limits.Lease}
	h.jobs.mu.Unlock()
	if fresh {
		j.stream.log.WakeAll()
	}
	return view
}

// next finds the worker's job, and makes it the worker's where it is fresh from the queue. q.mu is held.
func (q *jobs) next(k *worker) (j *job, fresh bool) {
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
			continue // its end is about to remove it
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

// RefuseJob gives a job back that the worker holds: another one may do it, and this one does not get it again. Errors:
// ErrNotFound where the user never held such a job, *FencedError where the worker no longer does, *EndedError where it
// has ended.
func (h *Hub) RefuseJob(w *Worker, id string, epoch int64, reason string) error {
	s, err := h.Stream(w.User, id)
	if err == nil && s.isRemote() {
		return s.refuseJobElsewhere(&refusal{*w, id, epoch, reason})
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
	others := kind != "" && h.serves(kind, key) // asks other nodes, so not under the lock
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
	h.retry(j, reason, others)
	return nil
}

// isAssignedTo reports whether the worker holds the job, in that attempt. jobs.mu is held.
func (j *job) isAssignedTo(key workerKey, epoch int64) bool {
	return !j.gone && j.assignee != nil && j.assignee.key == key && j.epoch == epoch
}

// EverAssignedTo reports whether the stream is that of a job which a worker of the user's holds, or has held: such a one may
// append to it, and be told that it may not any longer. ErrUnavailable where the node that knows cannot be asked.
func (s *Stream) EverAssignedTo(user string) (bool, error) {
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
