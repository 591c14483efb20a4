package hub

import (
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/lock"
	"github.com/duckwire/duckwire/hub/log"
)

// WorkerTopic is where each job is announced, as an event "job" without its code. Who may produce there may take jobs.
const WorkerTopic = "worker:analysis"

// maxAttempts is how often a job is handed out: once, and once more to another worker.
const maxAttempts = 2

// Job is an analysis for a worker to do. The worker writes the stream of the same id, with the id that it asked under
// as Producer-Id and Epoch as Producer-Epoch; its appends renew the lease.
type Job struct {
	ID      string // its own, and its stream's
	Request *AnalysisRequest
	Epoch   int64 // 1 at the first attempt, 2 at the second
	Lease   time.Duration
}

// job is one analysis that a worker is to do, from its enqueuing to its stream's end. What may change is guarded by
// jobs.mu.
type job struct {
	req   *AnalysisRequest // nil once it is gone
	owner string
	bytes int64

	stream  *Stream     // nil until it is registered
	gone    bool        // the stream has ended
	waiting bool        // it stands in jobs.queue
	holder  *worker     // who does it; nil: nobody
	epoch   int64       // of the attempt that runs, or is due
	timer   *time.Timer // ends the waiting
	lost    workerKey   // who had it before
	refused string      // why that one gave it back; "" where its lease lapsed
	users   []string    // whose workers have held it
}

// jobs is the queue of analyses that wait for a worker, and the list of workers.
type jobs struct {
	limits *Limits

	mu      lock.Mutex
	queue   []*job // first come, first served
	bytes   int64  // code of all that are unfinished
	byUser  map[string]int
	workers map[workerKey]*worker
}

func (q *jobs) init(limits *Limits) {
	q.mu.SetClass(lock.Jobs)
	q.limits, q.byUser, q.workers = limits, make(map[string]int), make(map[workerKey]*worker)
}

// reserve makes room for a job, or tells which limit is met. Other nodes have some of its user's.
func (q *jobs) reserve(j *job, elsewhere int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch l := q.limits; {
	case j.bytes > l.JobBytes:
		return &errs.LimitError{Kind: errs.ErrTooLarge, Name: "code of an analysis in bytes (job_bytes)", Limit: l.JobBytes}
	case len(q.queue) >= l.Jobs:
		return &errs.LimitError{Kind: errs.ErrLimited, Name: "jobs that wait for a worker (jobs)", Limit: int64(l.Jobs), Retry: 10 * time.Second}
	case q.byUser[j.owner]+elsewhere >= l.JobsPerUser:
		return &errs.LimitError{Kind: errs.ErrLimited, Name: "unfinished jobs of one user (jobs_per_user)", Limit: int64(l.JobsPerUser), Retry: 5 * time.Second}
	case q.bytes+j.bytes > l.JobBytes:
		return &errs.LimitError{Kind: errs.ErrLimited, Name: "code of all unfinished jobs in bytes (job_bytes)", Limit: l.JobBytes, Retry: 5 * time.Second}
	}
	q.bytes += j.bytes
	q.byUser[j.owner]++
	return nil
}

// remove forgets a job, whatever its state. A second call does nothing.
func (q *jobs) remove(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j.gone {
		return
	}
	j.gone = true
	q.unqueue(j)
	j.req = nil // the stream is kept for its readers; the code is not
	if j.holder != nil {
		j.release(time.Now())
	}
	q.bytes -= j.bytes
	if q.byUser[j.owner]--; q.byUser[j.owner] == 0 {
		delete(q.byUser, j.owner)
	}
}

// unqueue takes a job out of the queue, if it waits there. q.mu is held.
func (q *jobs) unqueue(j *job) {
	if !j.waiting {
		return
	}
	j.waiting = false
	j.timer.Stop()
	q.queue = slices.DeleteFunc(q.queue, func(o *job) bool { return o == j })
}

// release takes a job from its worker, which was heard of at that time. jobs.mu is held.
func (j *job) release(heard time.Time) {
	k := j.holder
	j.holder = nil
	k.jobs = slices.DeleteFunc(k.jobs, func(o *job) bool { return o == j })
	k.seen = heard
}

// enqueue makes an analysis a job, and its stream.
func (h *Hub) enqueue(req *AnalysisRequest, spec StreamSpec) (*Stream, bool, error) {
	j := &job{req: req, owner: spec.Owner, bytes: req.Bytes(), epoch: 1}
	if err := h.jobs.reserve(j, h.cluster.RemoteUsage(usageJobs, j.owner)); err != nil {
		return nil, false, err
	}
	spec.job = j
	s, old, err := h.newStream(&spec, nil)
	if err != nil || old {
		h.jobs.remove(j)
		return s, old, err
	}
	s.log.Lock()
	s.producer.epoch = j.epoch
	s.armKeep(max(s.Keep.CancelAfter, firstWatcher))
	s.log.Unlock()
	h.announce(s)
	h.jobs.mu.Lock()
	j.stream = s
	if j.gone { // cancelled or superseded between its registration and here
		h.jobs.mu.Unlock()
		return s, false, nil
	}
	h.offer(j)
	news := j.announcement()
	h.jobs.mu.Unlock()
	h.announceJob(j, news)
	return s, false, nil
}

// offer puts a job into the queue: at its end, or, the second time, at its front. jobs.mu is held.
func (h *Hub) offer(j *job) {
	q, at, epoch := &h.jobs, len(h.jobs.queue), j.epoch
	if epoch > 1 {
		at = 0
	}
	q.queue = slices.Insert(q.queue, at, j)
	j.waiting = true
	j.timer = time.AfterFunc(q.limits.JobWait, func() { h.jobUnwanted(j, epoch) })
	q.wakeWorkers()
	h.tellOfJob(j)
}

// announcement is the payload that tells of a job, without its code. jobs.mu is held, or nobody else knows the job.
func (j *job) announcement() []byte {
	p := payload{}.str("id", j.stream.ID).str("stream", j.stream.ID).str("type", j.req.Type).num("files", len(j.req.Files)).num("bytes", int(j.bytes))
	if j.req.Project != "" {
		p = p.str("project", j.req.Project)
	}
	return append(p.b, '}')
}

// announceJob tells whoever listens on WorkerTopic of a job.
func (h *Hub) announceJob(j *job, announcement []byte) {
	if _, err := h.topics.publish(WorkerTopic, j.owner, []EventInput{{Event: "job", Payload: announcement}}); err != nil {
		h.logger.Warn("a job's announcement was refused", "stream", j.stream.ID, "error", err)
	}
}

// jobUnwanted fails a job that nobody has taken.
func (h *Hub) jobUnwanted(j *job, epoch int64) {
	h.jobs.mu.Lock()
	due := j.waiting && j.epoch == epoch
	text := "no worker took the analysis within " + h.limits.JobWait.String()
	if epoch > 1 {
		text += ", after the first one " + j.why()
	}
	h.jobs.mu.Unlock()
	if due {
		j.fail("no_worker", text)
	}
}

// why says what became of the attempt before. jobs.mu is held.
func (j *job) why() string {
	if j.refused != "" {
		return "refused it: " + j.refused
	}
	return "fell silent"
}

func (j *job) fail(code, text string) {
	j.stream.finish(StatusFailed, Ending{Error: &EndError{Code: code, Message: text}, by: "worker"})
}

// jobLeaseDue takes a job from a worker that has been silent for too long.
func (h *Hub) jobLeaseDue(j *job) {
	h.jobs.mu.Lock()
	s := j.stream
	s.log.Lock()
	p := &s.producer
	left := s.leaseLeft()
	due := p.lease != nil && left <= 0 && j.holder != nil
	if p.lease != nil && left > 0 {
		p.lease.Reset(left)
	}
	s.log.Unlock()
	if !due {
		h.jobs.mu.Unlock()
		return
	}
	h.retry(j, "", true)
}

// retry offers a job to another worker after the one that holds it fell silent, or refused it; or fails it: the second
// time, and where it was refused and there are no others. It lets go of jobs.mu, which is held.
func (h *Hub) retry(j *job, refused string, others bool) {
	last := j.epoch >= maxAttempts
	j.lost, j.refused = j.holder.key, refused
	heard := time.Now()
	if refused == "" {
		heard = time.Time{}
	}
	j.release(heard)
	j.epoch++
	j.stream.fence(j.epoch)
	code, text := "worker_lost", "the worker fell silent, as the one before it"
	if refused != "" {
		code, text = "worker_refused", "the worker "+j.why()
		last = last || !others
	}
	if last {
		h.jobs.mu.Unlock()
		j.fail(code, text)
		return
	}
	h.offer(j)
	news := j.announcement()
	h.jobs.mu.Unlock()
	h.announceJob(j, news)
}

// fence takes a job's stream from the worker that writes it: what that one sends from now on is refused.
func (s *Stream) fence(epoch int64) {
	s.log.Lock()
	defer s.log.Unlock()
	p := &s.producer
	p.holder, p.epoch, p.current, p.pending = "", epoch, nil, nil
	p.stopLease()
}

// handTo makes a worker the one who may write the job's stream. ok is false where the stream has ended. Whoever reads
// it is to be woken once jobs.mu, which is held, is let go (log.wakeAll).
func (s *Stream) handTo(worker string, j *job) (ok bool) {
	s.log.Lock()
	defer s.log.Unlock()
	if s.status.Ended() {
		return false
	}
	s.producer.holder, s.producer.epoch = worker, j.epoch
	if j.epoch > 1 {
		p := payload{}.num("attempt", int(j.epoch)).str("reason", j.why())
		s.appendEventLocked(&log.Event{Kind: log.StreamEvent, Name: EntryRestarted, Data: append(p.b, '}')})
	}
	s.startLocked()
	s.renewLease()
	return true
}

// begun reports whether the worker has appended anything in the current attempt.
func (s *Stream) begun() bool {
	s.log.Lock()
	defer s.log.Unlock()
	known := s.producer.known[s.producer.holder]
	return known != nil && known.epoch == s.producer.epoch
}
