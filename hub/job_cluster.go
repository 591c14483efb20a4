package hub

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"
)

// A job stays on the node where it was requested: that node knows which workers have had it, and owns its stream. A
// worker asks any node for a job, and that node also asks the others.

// The calls between nodes about jobs.
const (
	callTakeJob   = "take job"   // Worker → nodeJob, or null
	callJobWaits  = "job waits"  // waitingJob; told to all nodes
	callServes    = "serves"     // waitingJob → whether a worker may do it
	callRefuseJob = "refuse job" // refusalCall
	callAssigned  = "holds job"  // assignmentQuestion → true or false
)

// askJobsEvery is how often the poll of a worker that waits is sent to the other nodes again. It also tells them that
// the worker is alive.
const askJobsEvery = 5 * time.Second

// nodeJob is a Job in the answer to another node.
type nodeJob struct {
	ID        string          `json:"id"`
	Epoch     int64           `json:"epoch"`
	Lease     time.Duration   `json:"lease"`
	Type      string          `json:"type"`
	Project   string          `json:"project,omitempty"`
	Files     []AnalysisFile  `json:"files,omitempty"`
	Options   json.RawMessage `json:"options,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
}

// waitingJob is what other nodes need to know of a job that waits for a worker.
type waitingJob struct {
	Type string `json:"type"`
	User string `json:"user,omitempty"` // with ID, the worker that had the job before
	ID   string `json:"id,omitempty"`
}

type refusalCall struct {
	Worker Worker `json:"worker"`
	Job    string `json:"job"`
	Epoch  int64  `json:"epoch"`
	Reason string `json:"reason"`
}

type assignmentQuestion struct {
	Job  string `json:"job"`
	User string `json:"user"`
}

// answerCalls registers what answers the calls of other nodes for jobs.
func (q *jobs) answerCalls() {
	h := q.hub
	h.cluster.OnCall(callTakeJob, answering(func(w *Worker) (any, error) { return q.takeForNode(w) }))
	h.cluster.OnCall(callJobWaits, answering(func(j *waitingJob) (any, error) {
		q.notifyOne(j)
		return nil, nil
	}))
	h.cluster.OnCall(callServes, answering(func(j *waitingJob) (any, error) {
		return q.hasWorker(j.Type, workerKey{j.User, j.ID}), nil
	}))
	h.cluster.OnCall(callRefuseJob, answering(func(r *refusalCall) (any, error) {
		return nil, h.RefuseJob(&r.Worker, r.Job, r.Epoch, r.Reason)
	}))
	h.cluster.OnCall(callAssigned, answering(func(a *assignmentQuestion) (any, error) {
		s := h.streams.find("", a.Job)
		return s != nil && s.wasAssignedHere(a.User), nil
	}))
}

// takeForNode assigns a job of this node to a worker that polls another node. It returns nil if there is none.
func (q *jobs) takeForNode(w *Worker) (*nodeJob, error) {
	if q.hub.IsDraining() {
		return nil, nil
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	p := newPoll()
	k, err := q.addPoll(w, p)
	if err != nil {
		return nil, err
	}
	defer q.removePoll(k, p)
	job := q.assign(k)
	if job == nil {
		return nil, nil
	}
	req := job.Request
	return &nodeJob{job.ID, job.Epoch, job.Lease, req.Type, req.Project, req.Files, req.Options, req.RequestID}, nil
}

// askNodesTicker returns a channel that says when a waiting poll must be sent to the other nodes again. On a single
// node it is nil.
func (q *jobs) askNodesTicker() (again <-chan time.Time, stop func()) {
	if !q.hub.cluster.sharesStreams() {
		return nil, func() {}
	}
	tick := time.NewTicker(min(askJobsEvery, q.limits.Lease/4))
	return tick.C, tick.Stop
}

// takeElsewhere asks the other nodes, one after the other, for a job. It returns nil if none has one. It does not stop
// when the worker's client disconnects: a job that was assigned and not begun is assigned to the same worker again.
func (q *jobs) takeElsewhere(w *Worker) *Job {
	h := q.hub
	if !h.cluster.sharesStreams() {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
	defer cancel()
	body := mustJSON(w)
	nodes := slices.Clone(h.cluster.streams.Others())
	// In random order, so that no node's jobs always come last.
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for _, node := range nodes {
		answer, err := h.cluster.Call(ctx, node, callTakeJob, body)
		var job *nodeJob
		if err == nil {
			err = json.Unmarshal(answer, &job)
		}
		if err != nil {
			h.logger.Warn("another node is not asked for jobs", "node", node, "error", err)
			continue
		}
		if job != nil {
			req := &AnalysisRequest{
				Type: job.Type, Project: job.Project, Files: job.Files, Options: job.Options, RequestID: job.RequestID,
			}
			return &Job{ID: job.ID, Request: req, Epoch: job.Epoch, Lease: job.Lease}
		}
	}
	return nil
}

// notifyNodes tells the other nodes of a new job, unless a worker waits for such a job here. q.mu is held.
func (q *jobs) notifyNodes(j *job) {
	h := q.hub
	if !h.cluster.sharesStreams() || q.hasWaitingWorker(j) {
		return
	}
	body := mustJSON(waitingJob{j.req.Type, j.lastWorker.user, j.lastWorker.id})
	h.background.TryGo(func() { h.cluster.Broadcast(callJobWaits, body) })
}

// hasWaitingWorker reports whether a worker that may do the job waits on this node. q.mu is held.
func (q *jobs) hasWaitingWorker(j *job) bool {
	for _, k := range q.workers {
		if len(k.polls) > 0 && q.mayAssign(j, k) {
			return true
		}
	}
	return false
}

// notifyOne notifies one waiting poll of another node's job, if possible not one of the worker that had the job before.
func (q *jobs) notifyOne(j *waitingJob) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notifyOneLocked(j)
}

func (q *jobs) notifyOneLocked(j *waitingJob) {
	var last *poll
	for _, k := range q.workers {
		if !k.handles(j.Type) {
			continue
		}
		for p := range k.polls {
			if last = p; k.key != (workerKey{j.User, j.ID}) {
				p.notify(j)
				return
			}
		}
	}
	if last != nil {
		last.notify(j)
	}
}

// maxNews bounds the news of one poll. Polls are also sent to the other nodes every askJobsEvery, so a job whose news
// is dropped is still found.
const maxNews = 100

// notify notes another node's job, and wakes the poll. jobs.mu is held.
func (p *poll) notify(j *waitingJob) {
	if len(p.news) < maxNews {
		p.news = append(p.news, *j)
	}
	p.newsWake.Signal()
}

// newsCount returns how much news the poll has.
func (q *jobs) newsCount(p *poll) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(p.news)
}

// dropNews drops the poll's oldest n news: since they came, the other nodes were asked and had no job.
func (q *jobs) dropNews(p *poll, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.news = p.news[n:]
}

// forwardNews notifies other polls of the news of a poll that has ended: it took one job at most, and may have been
// notified of several.
func (q *jobs) forwardNews(p *poll) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range p.news {
		q.notifyOneLocked(&p.news[i])
	}
	p.news = nil
}

// hasWorkerAnywhere reports whether any node knows a worker for analyses of that type, other than besides. A worker may
// have polled only one node so far, so the other nodes are asked if this one knows none.
func (q *jobs) hasWorkerAnywhere(kind string, besides workerKey) bool {
	if q.hasWorker(kind, besides) {
		return true
	}
	answers := q.hub.cluster.callAll(callServes, waitingJob{kind, besides.user, besides.id})
	return slices.ContainsFunc(answers, func(answer []byte) bool { return string(answer) == "true" })
}

// refuseJobElsewhere refuses a job at the node that owns the stream.
func (s *Stream) refuseJobElsewhere(r *refusalCall) error {
	_, tookOver, err := s.askOwner(callTimeout, callRefuseJob, mustJSON(r))
	if tookOver { // the owner has died, which ended the job
		s.log.Lock()
		defer s.log.Unlock()
		return s.endedErrorLocked()
	}
	return err
}

// wasAssignedElsewhere asks the node that owns the stream. It caches the answer true, which does not change any more.
func (s *Stream) wasAssignedElsewhere(user string) (bool, error) {
	s.log.Lock()
	cached := slices.Contains(s.assignedUsers, user)
	s.log.Unlock()
	if cached || s.Kind != "analysis" { // streams of other kinds have no job
		return cached, nil
	}
	answer, tookOver, err := s.askOwner(callTimeout, callAssigned, mustJSON(assignmentQuestion{s.ID, user}))
	if err != nil || tookOver || string(answer) != "true" {
		return false, err
	}
	s.log.Lock()
	defer s.log.Unlock()
	s.assignedUsers = append(s.assignedUsers, user)
	return true, nil
}
