package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/internal/record"
)

// asksOnce is the context of a worker that asks for a job without waiting.
func asksOnce(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// take requests a job that must exist from a node.
func (n *node) take(t testing.TB, worker string) *hub.Job {
	t.Helper()
	job, err := n.TakeJob(asksOnce(t), &hub.Worker{ID: worker, User: "w"})
	if err != nil || job == nil {
		t.Fatalf("%s gets %v, %v", worker, job, err)
	}
	return job
}

func (n *node) none(t testing.TB, worker string) {
	t.Helper()
	if job, err := n.TakeJob(asksOnce(t), &hub.Worker{ID: worker, User: "w"}); err != nil || job != nil {
		t.Errorf("%s gets %v, %v", worker, job, err)
	}
}

// report writes a worker's findings through a node, and ends the job.
func (n *node) report(t testing.TB, worker string, job *hub.Job) error {
	t.Helper()
	s := n.find(t, job.ID)
	if assigned, err := s.WasAssignedTo("w"); !assigned || err != nil {
		t.Errorf("the worker's job is not known as its: %v", err)
	}
	a, err := s.Append(hub.ProducerRef{ID: worker, Epoch: job.Epoch})
	if err != nil {
		return err
	}
	if err := a.Add([]hub.Part{{Name: "found", Data: fmt.Appendf(nil, "%q", worker)}}); err != nil {
		a.Abort()
		return err
	}
	_, err = a.End(&hub.Ending{Status: hub.StatusDone})
	return err
}

// entryNames returns the names of a stream's entries.
func entryNames(t testing.TB, s *hub.Stream) (list []string) {
	t.Helper()
	r := s.WatchUncounted(log.Position{}, log.NewWake())
	defer r.Close()
	items, _ := r.Read(nil)
	for i := range items {
		if ev := items[i].Event; ev != nil {
			list = append(list, ev.Name)
		}
	}
	return list
}

// TestJobsOverNodes takes a job, gives it back, takes it again and ends it, all through nodes that do not own it.
func TestJobsOverNodes(t *testing.T) {
	server := startRedis(t)
	b := startNode(t, server)
	b.none(t, "w1")
	a, c := startNode(t, server), startNode(t, server) // these have not seen the worker
	waits := make(chan *hub.Job)
	wait := func(n *node, worker string) {
		job, err := n.TakeJob(t.Context(), &hub.Worker{ID: worker, User: "w"})
		if err != nil {
			t.Error(err)
		}
		waits <- job
	}
	go wait(b, "w1")
	s, _, err := analyse(a)
	if err != nil {
		t.Fatal("a worker of another node is not known:", err)
	}
	job := <-waits
	if job.ID != s.ID || job.Epoch != 1 || job.Lease != 30*time.Second || len(job.Request.Files) != 1 ||
		job.Request.Files[0].Code != "package a" {
		t.Errorf("the job is %+v", job)
	}
	if again := c.take(t, "w1"); again.ID != job.ID || again.Epoch != 1 { // the answer may have been lost
		t.Errorf("not begun, and not handed out again: %+v", again)
	}
	c.none(t, "w2")
	if assigned, err := c.find(t, s.ID).WasAssignedTo("x"); assigned || err != nil {
		t.Error("anybody has it:", err)
	}
	if err := b.RefuseJob(&hub.Worker{ID: "w1", User: "x"}, job.ID, 1, ""); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("refused by somebody else: %v", err)
	}
	if err := b.RefuseJob(&hub.Worker{ID: "w1", User: "w"}, job.ID, 1, "no gcc"); err != nil {
		t.Fatal(err)
	}
	b.none(t, "w1")
	second := b.take(t, "w2")
	if second.ID != job.ID || second.Epoch != 2 {
		t.Errorf("then the job is %+v", second)
	}
	var fenced *hub.FencedError
	if err := c.report(t, "w1", job); !errors.As(err, &fenced) {
		t.Errorf("the first one's late report: %v", err)
	}
	err = b.RefuseJob(&hub.Worker{ID: "w1", User: "w"}, job.ID, 1, "")
	if !errors.As(err, &fenced) || fenced.Epoch != 2 {
		t.Errorf("refused late: %v", err)
	}
	if err := c.report(t, "w2", second); err != nil {
		t.Error(err)
	}
	<-s.Done()
	if got := fmt.Sprint(entryNames(t, s)); got != "[analysis_restarted found end]" || s.Status() != hub.StatusDone {
		t.Errorf("%s, and %s", got, s.Status())
	}

	go wait(c, "w1") // a waiting worker is woken
	s, _, err = analyse(b)
	if err != nil {
		t.Fatal(err)
	}
	if job := <-waits; job.ID != s.ID {
		t.Errorf("it gets %+v", job)
	}
	b.die(t, a, c)
	<-c.find(t, s.ID).Done()
	if assigned, err := a.find(t, s.ID).WasAssignedTo("w"); err != nil || assigned { // the node's jobs are gone with it
		t.Errorf("a dead node's job: %v %v", assigned, err)
	}
}

// TestRefusedJobsOverNodes checks that a refused job waits for a live worker of another node, even for one that the
// job's node has not seen.
func TestRefusedJobsOverNodes(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	b.none(t, "w1") // asks a as well
	if _, _, err := analyse(b); err != nil {
		t.Fatal(err)
	}
	busy := b.take(t, "w2") // a job of b's own, so a is not asked
	s, _, err := analyse(a)
	if err != nil {
		t.Fatal(err)
	}
	job := b.take(t, "w1")
	if err := b.RefuseJob(&hub.Worker{ID: "w1", User: "w"}, job.ID, 1, "no gcc"); err != nil {
		t.Fatal(err)
	}
	if s.Status().Ended() {
		t.Fatalf("refused for good, and another worker is alive: %s", s.Status())
	}
	if err := b.report(t, "w2", busy); err != nil {
		t.Error(err)
	}
	if second := b.take(t, "w2"); second.ID != s.ID || second.Epoch != 2 {
		t.Errorf("then it gets %+v", second)
	}
}

// TestJobsOverNodesUnderContention has many workers take many jobs through all nodes: no job is given to two, and each
// is done.
func TestJobsOverNodesUnderContention(t *testing.T) {
	server := startRedis(t)
	limits := hub.Limits{JobsPerUser: 1000}
	all := []*node{startNodeWith(t, server, limits), startNodeWith(t, server, limits), startNodeWith(t, server, limits)}
	all[0].none(t, "w0")
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var mu sync.Mutex
	taken := make(map[string]string)
	for i := range 9 {
		work.Go(func() {
			worker := fmt.Sprint("w", i)
			for n := i; ctx.Err() == nil; n++ { // a different node each time
				job, err := all[n%3].TakeJob(ctx, &hub.Worker{ID: worker, User: "w"})
				if err != nil {
					t.Error(err)
					return
				}
				if job == nil {
					continue
				}
				key := fmt.Sprint(job.ID, " ", job.Epoch)
				mu.Lock()
				if other := taken[key]; other != "" && other != worker {
					t.Errorf("%s is given to %s and %s", key, other, worker)
				}
				taken[key] = worker
				mu.Unlock()
				if err := all[(n+1)%3].report(t, worker, job); err != nil {
					t.Errorf("%s of %s: %v", key, worker, err)
				}
			}
		})
	}
	var streams []*hub.Stream
	for i := range 90 {
		s, _, err := analyse(all[i%3])
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	for _, s := range streams {
		if <-s.Done(); s.Status() != hub.StatusDone {
			t.Errorf("%s is %s", s.ID, s.Status())
		}
	}
	cancel()
	work.Wait()
	if len(taken) != len(streams) {
		t.Errorf("%d jobs were given %d times", len(streams), len(taken))
	}
}

// TestOldNewsOfAStream checks that an old update of a stream does not undo newer state that a node has read from Redis
// meanwhile.
func TestOldNewsOfAStream(t *testing.T) {
	server := startRedis(t)
	a, b := startNode(t, server), startNode(t, server)
	a.none(t, "w1")
	s, _, err := analyse(a)
	if err != nil {
		t.Fatal(err)
	}
	queued, err := b.store.FindStream("ada", s.ID)
	if err != nil || queued.Record.Status != hub.StatusQueued || queued.Record.Tail != 0 {
		t.Fatalf("%+v, %v", queued, err)
	}
	raw, err := record.Encode(queued.Record)
	if err != nil {
		t.Fatal(err)
	}
	old, err := json.Marshal(map[string]any{"n": queued.Node, "r": json.RawMessage(raw)})
	if err != nil {
		t.Fatal(err)
	}
	mirror := b.find(t, s.ID)
	job := a.take(t, "w1")
	<-mirror.Started()
	heard := make(chan string, 1)
	defer b.store.Follow("dw:test", func(m string) { heard <- m }, func() {})()
	for len(heard) == 0 { // until it has subscribed
		if err := a.store.Publish("dw:{s:"+s.ID+"}", string(old)); err != nil {
			t.Fatal(err)
		}
		if err := a.store.Publish("dw:test", "behind it"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // limits the rate
	}
	if mirror.Status() != hub.StatusRunning {
		t.Errorf("the mirror is %s again", mirror.Status())
	}
	if err := b.report(t, "w1", job); err != nil {
		t.Error(err)
	}
	if <-mirror.Done(); mirror.Status() != hub.StatusDone {
		t.Error(mirror.Status())
	}
}
