package hub

import (
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// WorkerTopic is the topic where each job is announced, as an event "job" without its code. Whoever has the right to
// produce there may take jobs.
const WorkerTopic = "worker:analysis"

// maxAttempts is how many workers a job is assigned to at most, one after the other.
const maxAttempts = 2

// Job is an analysis that is assigned to a worker. The worker writes the stream of the same id, with its Worker.ID as
// Producer-Id and Epoch as Producer-Epoch. Its appends extend the lease.
type Job struct {
	ID      string // also its stream's
	Request *AnalysisRequest
	Epoch   int64 // 1 at the first attempt, 2 at the second
	Lease   time.Duration
}

// job is an analysis for workers, from its creation to its stream's end. Guarded by jobs.mu, except for what never
// changes.
type job struct {
	req    *AnalysisRequest // nil after the end
	holder holder
	bytes  int64

	stream        *Stream     // nil until it is registered
	removed       bool        // the stream has ended
	waiting       bool        // it is in jobs.queue
	assignee      *worker     // nil: none
	epoch         int64       // of the present attempt, or of the next one while it waits
	timer         *time.Timer // of Limits.JobWait
	lastWorker    workerKey   // of the attempt before
	refusal       string      // why that worker refused the job; "" if its lease expired
	assignedUsers []string    // the users of all workers that it was assigned to
}

// jobs has the queue of jobs that wait for a worker, and the list of workers.
type jobs struct {
	hub    *Hub
	limits *Limits

	mu         lock.Mutex
	queue      []*job // in the order of their creation; second attempts first
	bytes      int64  // code of all unfinished jobs
	unfinished quota
	workers    map[workerKey]*worker
}

func (q *jobs) init(h *Hub) {
	q.mu.SetClass(lock.Jobs)
	q.hub, q.limits, q.workers = h, &h.limits, make(map[workerKey]*worker)
	q.unfinished = quota{
		users: tally{usage: usageJobs, name: "unfinished jobs of one user (jobs_per_user)", limit: h.limits.JobsPerUser},
		keys: tally{
			usage: usageKeyJobs, name: "unfinished jobs of one API key (key_factor)",
			limit: h.limits.JobsPerKey,
		},
	}
}

// reserve counts a new job against the limits. elsewhere is how many jobs its holder has on other nodes. Errors are
// *LimitError.
func (q *jobs) reserve(j *job, elsewhere remoteUsage) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	limited := func(name string, limit int64, retry time.Duration) error {
		return &errs.LimitError{Kind: errs.ErrLimited, Name: name, Limit: limit, Retry: retry}
	}
	room := q.unfinished.check(j.holder, elsewhere)
	switch l := q.limits; {
	case j.bytes > l.JobBytes:
		return &errs.LimitError{
			Kind: errs.ErrTooLarge, Name: "code of an analysis in bytes (job_bytes)", Limit: l.JobBytes,
		}
	case len(q.queue) >= l.Jobs:
		return limited("jobs that wait for a worker (jobs)", int64(l.Jobs), 10*time.Second)
	case room != nil:
		return room
	case q.bytes+j.bytes > l.JobBytes:
		return limited("code of all unfinished jobs in bytes (job_bytes)", l.JobBytes, 5*time.Second)
	}
	q.bytes += j.bytes
	q.unfinished.enter(j.holder)
	return nil
}

// remove removes a job in any state. A second call does nothing.
func (q *jobs) remove(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j.removed {
		return
	}
	j.removed = true
	q.unqueue(j)
	j.req = nil // the stream stays for its readers, without the code
	if j.assignee != nil {
		j.release(time.Now())
	}
	q.bytes -= j.bytes
	q.unfinished.leave(j.holder)
}

// unqueue removes a job from the queue, if it is there. q.mu is held.
func (q *jobs) unqueue(j *job) {
	if !j.waiting {
		return
	}
	j.waiting = false
	j.timer.Stop()
	q.queue = slices.DeleteFunc(q.queue, func(o *job) bool { return o == j })
}

// release ends a job's assignment to its worker, which was last seen at that time. jobs.mu is held.
func (j *job) release(lastSeen time.Time) {
	k := j.assignee
	j.assignee = nil
	k.jobs = slices.DeleteFunc(k.jobs, func(o *job) bool { return o == j })
	k.lastSeen = lastSeen
}

// create creates a job and its stream, or returns the stream that has its id already.
func (q *jobs) create(req *AnalysisRequest, spec StreamSpec) (*Stream, bool, error) {
	h := q.hub
	j := &job{req: req, holder: holder{spec.Owner, spec.Key}, bytes: req.Bytes(), epoch: 1}
	if err := q.reserve(j, q.unfinished.elsewhere(h.cluster, j.holder)); err != nil {
		return nil, false, err
	}
	spec.job = j
	s, old, err := h.newStream(&spec, nil)
	if err != nil || old {
		q.remove(j)
		return s, old, err
	}
	s.log.Lock()
	s.producer.epoch = j.epoch
	s.armFirstIdleCancel()
	s.log.Unlock()
	s.announce()
	q.mu.Lock()
	j.stream = s
	if j.removed { // cancelled or superseded since its registration
		q.mu.Unlock()
		return s, false, nil
	}
	q.enqueue(j)
	announcement := j.announcement()
	q.mu.Unlock()
	q.announce(j, announcement)
	return s, false, nil
}

// enqueue puts a job into the queue, at its end, or at its front for the second attempt. q.mu is held.
func (q *jobs) enqueue(j *job) {
	at, epoch := len(q.queue), j.epoch
	if epoch > 1 {
		at = 0
	}
	q.queue = slices.Insert(q.queue, at, j)
	j.waiting = true
	j.timer = time.AfterFunc(q.limits.JobWait, func() { q.waitExpired(j, epoch) })
	q.wakeWorkers()
	q.notifyNodes(j)
}

// announcement returns the payload of the event "job". jobs.mu is held, or no other goroutine knows the job.
func (j *job) announcement() []byte {
	p := payload{}.str("id", j.stream.ID).str("stream", j.stream.ID).str("type", j.req.Type)
	p = p.num("files", len(j.req.Files)).num("bytes", int(j.bytes))
	if j.req.Project != "" {
		p = p.str("project", j.req.Project)
	}
	return append(p.b, '}')
}

// announce publishes a job's announcement on WorkerTopic.
func (q *jobs) announce(j *job, announcement []byte) {
	in := []EventInput{{Event: "job", Payload: announcement}}
	if _, err := q.hub.topics.publish(WorkerTopic, j.holder.owner, in); err != nil {
		q.hub.logger.Warn("a job's announcement was refused", "stream", j.stream.ID, "error", err)
	}
}

// waitExpired fails a job that no worker has taken within Limits.JobWait, unless its epoch is another one by now.
func (q *jobs) waitExpired(j *job, epoch int64) {
	q.mu.Lock()
	due := j.waiting && j.epoch == epoch
	text := "no worker took the analysis within " + q.limits.JobWait.String()
	if epoch > 1 {
		text += ", after the first one " + j.lastFailure()
	}
	q.mu.Unlock()
	if due {
		j.fail("no_worker", text)
	}
}

// lastFailure says why the attempt before failed: what the worker did. jobs.mu is held.
func (j *job) lastFailure() string {
	if j.refusal != "" {
		return "refused it: " + j.refusal
	}
	return "fell silent"
}

func (j *job) fail(code, text string) {
	j.stream.endLocal(StatusFailed, Ending{Error: &EndError{Code: code, Message: text}, by: "worker"})
}

// leaseDue is Stream.leaseDue for a job's stream: it retries the job if its worker's lease has expired.
func (q *jobs) leaseDue(j *job) {
	q.mu.Lock()
	s := j.stream
	s.log.Lock()
	p := &s.producer
	left := s.leaseLeftLocked()
	due := p.lease != nil && left <= 0 && j.assignee != nil
	if p.lease != nil && left > 0 {
		p.lease.Reset(left)
	}
	s.log.Unlock()
	if !due {
		q.mu.Unlock()
		return
	}
	q.retryAndUnlock(j, "", true)
}

// retryAndUnlock ends an attempt, whose worker has refused the job (refusal says why) or let its lease expire (""). It
// enqueues the job for another worker, or fails it: after the last attempt, or after a refusal if there are no other
// workers. It unlocks q.mu, which is held.
func (q *jobs) retryAndUnlock(j *job, refusal string, otherWorkers bool) {
	last := j.epoch >= maxAttempts
	j.lastWorker, j.refusal = j.assignee.key, refusal
	seen := time.Now()
	if refusal == "" {
		seen = time.Time{} // the worker counts as gone
	}
	j.release(seen)
	j.epoch++
	j.stream.fence(j.epoch)
	code, text := "worker_lost", "the worker fell silent, as the one before it"
	if refusal != "" {
		code, text = "worker_refused", "the worker "+j.lastFailure()
		last = last || !otherWorkers
	}
	if last {
		q.mu.Unlock()
		j.fail(code, text)
		return
	}
	q.enqueue(j)
	announcement := j.announcement()
	q.mu.Unlock()
	q.announce(j, announcement)
}

// fence refuses what the present worker appends to a job's stream from now on. epoch is that of the next attempt.
func (s *Stream) fence(epoch int64) {
	s.log.Lock()
	defer s.log.Unlock()
	p := &s.producer
	p.holder, p.epoch, p.current, p.pending = "", epoch, nil, nil
	p.stopLease()
}

// assignTo gives a worker the lease of the job's stream. ok is false if the stream has ended. The caller holds jobs.mu,
// and wakes the stream's readers when it has unlocked it (log.WakeAll).
func (s *Stream) assignTo(worker string, j *job) (ok bool) {
	s.log.Lock()
	defer s.log.Unlock()
	if s.status.Ended() {
		return false
	}
	s.producer.holder, s.producer.epoch = worker, j.epoch
	if j.epoch > 1 {
		p := payload{}.num("attempt", int(j.epoch)).str("reason", j.lastFailure())
		s.appendEventLocked(&log.Event{Kind: log.StreamEvent, Name: EntryRestarted, Data: append(p.b, '}')})
	}
	s.startLocked()
	s.extendLease()
	return true
}

// hasProducerStarted reports whether the worker has appended anything in the present attempt.
func (s *Stream) hasProducerStarted() bool {
	s.log.Lock()
	defer s.log.Unlock()
	progress := s.producer.progress[s.producer.holder]
	return progress != nil && progress.epoch == s.producer.epoch
}
