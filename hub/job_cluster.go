package hub

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/log"
)

// A job stays with the node where it was asked for: that one knows who has had it, and writes its stream. Workers ask
// any node, and that one asks the others. So a worker is known wherever there may be jobs for it.

// What nodes ask each other about jobs.
const (
	callTakeJob   = "take job"   // Worker → nodeJob, or null
	callJobWaits  = "job waits"  // waitingJob; told to all
	callServes    = "serves"     // waitingJob → true or false
	callRefuseJob = "refuse job" // refusal
	callHolds     = "holds job"  // holding of a stream's job → true or false
)

// askJobsEvery is how often a worker's question that waits is put to the other nodes anew: they hear that the worker is
// alive.
const askJobsEvery = 5 * time.Second

// nodeJob is a Job on its way to another node.
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

// waitingJob is what others are told of a job.
type waitingJob struct {
	Type string `json:"type"`
	User string `json:"user,omitempty"` // who had it before
	ID   string `json:"id,omitempty"`
}

type refusal struct {
	Worker Worker `json:"worker"`
	Job    string `json:"job"`
	Epoch  int64  `json:"epoch"`
	Reason string `json:"reason"`
}

type jobHolder struct {
	Job  string `json:"job"`
	User string `json:"user"`
}

// answerJobs has this node answer the others.
func (h *Hub) answerJobs() {
	h.cluster.OnCall(callTakeJob, answering(func(w *Worker) (any, error) { return h.takeHere(w) }))
	h.cluster.OnCall(callJobWaits, answering(func(j *waitingJob) (any, error) {
		h.jobs.hear(j)
		return nil, nil
	}))
	h.cluster.OnCall(callServes, answering(func(j *waitingJob) (any, error) { return h.jobs.serves(j.Type, workerKey{j.User, j.ID}), nil }))
	h.cluster.OnCall(callRefuseJob, answering(func(r *refusal) (any, error) { return nil, h.RefuseJob(&r.Worker, r.Job, r.Epoch, r.Reason) }))
	h.cluster.OnCall(callHolds, answering(func(who *jobHolder) (any, error) {
		s := h.streams.find("", who.Job)
		return s != nil && s.heldHere(who.User), nil
	}))
}

// takeHere hands out a job of this node's to a worker that asks another one.
func (h *Hub) takeHere(w *Worker) (*nodeJob, error) {
	if h.IsDraining() {
		return nil, nil
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	p := &poll{wake: log.NewWake(), news: log.NewWake()}
	k, err := h.jobs.enter(w, p)
	if err != nil {
		return nil, err
	}
	defer h.jobs.leave(k, p)
	job := h.handOut(k)
	if job == nil {
		return nil, nil
	}
	req := job.Request
	return &nodeJob{job.ID, job.Epoch, job.Lease, req.Type, req.Project, req.Files, req.Options, req.RequestID}, nil
}

// askingAgain says when a question that waits is to be put to the other nodes anew. On one node it never is.
func (h *Hub) askingAgain() (again <-chan time.Time, stop func()) {
	if !h.cluster.sharesStreams() {
		return nil, func() {}
	}
	tick := time.NewTicker(min(askJobsEvery, h.limits.Lease/4))
	return tick.C, tick.Stop
}

// takeElsewhere asks the other nodes, one after the other, for a job of theirs. Whether the worker's client is still
// there does not matter: what it does not begin, it is handed again.
func (h *Hub) takeElsewhere(w *Worker) *Job {
	if !h.cluster.sharesStreams() {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
	defer cancel()
	body := mustJSON(w)
	nodes := slices.Clone(h.cluster.streams.Others())
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] }) // so that no node's jobs wait behind all others'
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
			req := &AnalysisRequest{Type: job.Type, Project: job.Project, Files: job.Files, Options: job.Options, RequestID: job.RequestID}
			return &Job{ID: job.ID, Request: req, Epoch: job.Epoch, Lease: job.Lease}
		}
	}
	return nil
}

// tellOfJob tells the other nodes of a job for which no worker waits here. jobs.mu is held.
func (h *Hub) tellOfJob(j *job) {
	if !h.cluster.sharesStreams() || h.jobs.awaited(j) {
		return
	}
	body := mustJSON(waitingJob{j.req.Type, j.lost.user, j.lost.id})
	h.background.TryGo(func() { h.cluster.Broadcast(callJobWaits, body) })
}

// awaited reports whether a worker waits for such a job on this node. q.mu is held.
func (q *jobs) awaited(j *job) bool {
	for _, k := range q.workers {
		if len(k.polls) > 0 && q.wants(j, k) {
			return true
		}
	}
	return false
}

// hear has one worker that waits ask for a job of another node's: somebody else than who had it before, if there is
// one.
func (q *jobs) hear(j *waitingJob) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hearLocked(j)
}

func (q *jobs) hearLocked(j *waitingJob) {
	var last *poll
	for _, k := range q.workers {
		if !k.takes(j.Type) {
			continue
		}
		for p := range k.polls {
			if last = p; k.key != (workerKey{j.User, j.ID}) {
				p.tell(j)
				return
			}
		}
	}
	if last != nil {
		last.tell(j)
	}
}

// maxTold bounds what is kept for a question of what it was told. There are the questions that are put anew.
const maxTold = 100

// tell wakes a question for a job of another node's. jobs.mu is held.
func (p *poll) tell(j *waitingJob) {
	if len(p.told) < maxTold {
		p.told = append(p.told, *j)
	}
	p.news.Signal()
}

// toldOf returns how much the question has been told, before it asks the other nodes.
func (q *jobs) toldOf(p *poll) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(p.told)
}

// settled forgets that much: the other nodes were asked since, and had nothing.
func (q *jobs) settled(p *poll, told int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.told = p.told[told:]
}

// passOn tells others that wait what a question was told that has left: it took one job, and may have been told of
// several.
func (q *jobs) passOn(p *poll) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range p.told {
		q.hearLocked(&p.told[i])
	}
	p.told = nil
}

// serves reports whether there is a worker for analyses of that type, besides one. A node that has heard of none asks
// the others: it may have just begun, or the worker has had enough to do there, and never came to ask here.
func (h *Hub) serves(kind string, besides workerKey) bool {
	if h.jobs.serves(kind, besides) {
		return true
	}
	return slices.ContainsFunc(h.cluster.callAll(callServes, waitingJob{kind, besides.user, besides.id}), func(answer []byte) bool { return string(answer) == "true" })
}

// refuseElsewhere gives a job back to the node that has it.
func (s *Stream) refuseElsewhere(r *refusal) error {
	_, taken, err := s.askOwner(callTimeout, callRefuseJob, mustJSON(r))
	if taken { // its node has died, and with it the job
		s.log.Lock()
		defer s.log.Unlock()
		return s.endedError()
	}
	return err
}

// heldElsewhere asks the node that has the stream's job. That somebody has had a job stays true.
func (s *Stream) heldElsewhere(user string) (bool, error) {
	s.log.Lock()
	known := slices.Contains(s.heldBy, user)
	s.log.Unlock()
	if known || s.Kind != "analysis" { // others are nobody's jobs
		return known, nil
	}
	answer, taken, err := s.askOwner(callTimeout, callHolds, mustJSON(jobHolder{s.ID, user}))
	if err != nil || taken || string(answer) != "true" {
		return false, err
	}
	s.log.Lock()
	defer s.log.Unlock()
	s.heldBy = append(s.heldBy, user)
	return true, nil
}
