package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/log"
)

// analyst is a provider with a test's Analyze.
type analyst struct {
	scripted
	analyze func(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error
}

func (a analyst) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	return a.analyze(ctx, req, w)
}

func request() *hub.AnalysisRequest {
	return &hub.AnalysisRequest{
		Type:  "style",
		Files: []hub.AnalysisFile{{Path: "a.go", Code: "package a"}, {Path: "b.go", Code: "package b"}},
	}
}

func analyze(t *testing.T, h *hub.Hub, spec hub.StreamSpec) *hub.Stream {
	t.Helper()
	spec.Owner = "u"
	s, _, err := h.Analyze(request(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entries returns a stream's structured entries, as "NAME DATA" each.
func entries(s *hub.Stream) []string {
	r, _ := s.Watch(log.Position{}, log.NewWake())
	defer r.Close()
	items, _ := r.Read(nil)
	var all []string
	for _, item := range items {
		if item.Event != nil && item.Event.Kind == log.StreamEvent {
			all = append(all, item.Event.Name+" "+string(item.Event.Data))
		}
	}
	return all
}

func endCode(s *hub.Stream) string {
	st := s.State()
	if st.Ending.Error == nil {
		return string(st.Status)
	}
	return string(st.Status) + " " + st.Ending.Error.Code
}

func TestProviderAnalyzes(t *testing.T) {
	found := func(_ context.Context, _ *hub.AnalysisRequest, w hub.AnalysisWriter) error {
		return errors.Join(
			w.Progress(0),
			w.Issues(hub.Issue{Message: "bad\xff", File: "a.go", Line: 3, Severity: "error"},
				hub.Issue{Type: "security", File: "a.go", Line: -1}),
			w.FileDone(0),
		)
	}
	h := newHub(t, hub.Options{Provider: analyst{analyze: found}})
	s := analyze(t, h, hub.StreamSpec{})
	<-s.Done()
	want := []string{
		`analysis_progress {"current":1,"file":"a.go","total":2}`,
		`analysis_update {"issues":[` +
			`{"type":"style","category":"general","message":"bad` + "\uFFFD" +
			`","file":"a.go","line":3,"column":0,"severity":"high"},` +
			`{"type":"security","category":"general","message":"Unknown issue","file":"a.go","line":0,"column":0,` +
			`"severity":"info"}],"type":"style"}`,
		`file_analyzed {"file":"a.go","issues":2}`,
		`file_analyzed {"file":"b.go","issues":0}`,
		`analysis_summary {"total_issues":2,"semantic_issues":0,"style_issues":1,"security_issues":1,` +
			`"files_analyzed":2,"errors":1,"warnings":0,"info":1}`,
	}
	if got := entries(s); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := endCode(s); got != "done" || !strings.HasPrefix(s.ID, "ana_") || s.Kind != "analysis" {
		t.Errorf("%s %s %s", s.ID, s.Kind, got)
	}
}

func TestAnalysesFailWithACode(t *testing.T) {
	for want, err := range map[string]error{
		"failed bad_answer":     &hub.ProviderError{Code: "bad_answer"},
		"failed provider_error": errors.New("boom"),
		"failed too_large":      errs.ErrTooLarge,
	} {
		fail := func(context.Context, *hub.AnalysisRequest, hub.AnalysisWriter) error { return err }
		h := newHub(t, hub.Options{Provider: analyst{analyze: fail}})
		s := analyze(t, h, hub.StreamSpec{})
		<-s.Done()
		if got := endCode(s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	panics := func(context.Context, *hub.AnalysisRequest, hub.AnalysisWriter) error { panic("oh") }
	h := newHub(t, hub.Options{Provider: analyst{analyze: panics}})
	s := analyze(t, h, hub.StreamSpec{})
	if <-s.Done(); endCode(s) != "failed internal" {
		t.Error(endCode(s))
	}
}

func TestAnalysisIsIdempotentAndCancelled(t *testing.T) {
	wait := func(ctx context.Context, _ *hub.AnalysisRequest, w hub.AnalysisWriter) error {
		w.Accepted()
		<-ctx.Done()
		return ctx.Err()
	}
	h := newHub(t, hub.Options{Provider: analyst{analyze: wait}})
	s := analyze(t, h, hub.StreamSpec{Alias: "mine", Digest: "1"})
	again, attached, err := h.Analyze(request(), hub.StreamSpec{Owner: "u", Alias: "mine", Digest: "1"})
	if again != s || !attached || err != nil {
		t.Errorf("%v %v", attached, err)
	}
	_, _, err = h.Analyze(request(), hub.StreamSpec{Owner: "u", Alias: "mine", Digest: "2"})
	if !errors.Is(err, errs.ErrConflict) {
		t.Error(err)
	}
	s.Cancel("u")
	if <-s.Done(); endCode(s) != "cancelled cancelled" {
		t.Error(endCode(s))
	}
}

func TestNobodyAnalyzes(t *testing.T) {
	h := newHub(t, hub.Options{Provider: scripted(nil)})
	if _, _, err := h.Analyze(request(), hub.StreamSpec{Owner: "u"}); !errors.Is(err, errs.ErrUnavailable) ||
		!strings.Contains(err.Error(), "duckwire worker") {
		t.Error(err)
	}
}

func TestAnalysisRequestsAreChecked(t *testing.T) {
	h := newHub(t, hub.Options{})
	for field, change := range map[string]func(*hub.AnalysisRequest){
		"type":          func(r *hub.AnalysisRequest) { r.Type = "a b" },
		"files":         func(r *hub.AnalysisRequest) { r.Files = nil },
		"files[1].path": func(r *hub.AnalysisRequest) { r.Files[1].Path = "a.go" },
		"files[0].path": func(r *hub.AnalysisRequest) { r.Files[0].Path = "a\x00" },
		"options":       func(r *hub.AnalysisRequest) { r.Options = json.RawMessage("[]") },
	} {
		req := request()
		change(req)
		var fault *errs.FieldError
		if _, _, err := h.Analyze(req, hub.StreamSpec{Owner: "u"}); !errors.As(err, &fault) || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// poll polls for a job, for at most a second.
func poll(t *testing.T, h *hub.Hub, id string, types ...string) *hub.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	job, err := h.TakeJob(ctx, &hub.Worker{ID: id, User: "w", Types: types})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func mustPoll(t *testing.T, h *hub.Hub, id string) *hub.Job {
	t.Helper()
	job := poll(t, h, id)
	if job == nil {
		t.Fatalf("no job for %s", id)
	}
	return job
}

// write appends one entry as a worker does.
func write(s *hub.Stream, id string, epoch, seq int64, ending *hub.Ending) error {
	a, err := s.Append(hub.ProducerRef{ID: id, Epoch: epoch, Seq: seq})
	if err != nil || a.Duplicate() {
		return err
	}
	if err := a.Add([]hub.Part{{Name: "found", Data: []byte(`"` + id + `"`)}}); err != nil {
		a.Abort()
		return err
	}
	_, err = a.End(ending)
	return err
}

var done = &hub.Ending{Status: hub.StatusDone}

// A project without files needs a worker that has them: the provider cannot run it.
func TestProjectsWithoutFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Provider: analyst{}})
		defer h.Close()
		ask := func() error {
			_, _, err := h.Analyze(&hub.AnalysisRequest{Project: "42"}, hub.StreamSpec{Owner: "u"})
			return err
		}
		if err := ask(); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("by the provider: %v", err)
		}
		poll(t, h, "w1")
		if err := ask(); err != nil {
			t.Error(err)
		}
		if job := mustPoll(t, h, "w1"); job.Request.Project != "42" || len(job.Request.Files) != 0 {
			t.Errorf("%+v", job.Request)
		}
	})
}

func TestWorkerDoesAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		poll(t, h, "w1", "style")
		s := analyze(t, h, hub.StreamSpec{Topic: "t"})
		security := &hub.AnalysisRequest{Type: "security", Files: request().Files}
		if _, _, err := h.Analyze(security, hub.StreamSpec{Owner: "u"}); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("a job for nobody: %v", err)
		}
		if poll(t, h, "w2", "security") != nil {
			t.Error("a job for the wrong worker")
		}
		if err := write(s, "w1", 1, 0, nil); !errors.Is(err, errs.ErrForbidden) {
			t.Errorf("written before it was taken: %v", err)
		}
		job := mustPoll(t, h, "w1")
		if again := mustPoll(t, h, "w1"); again.ID != job.ID || again.Epoch != job.Epoch { // a lost answer
			t.Errorf("%+v, %+v", job, again)
		}
		for range 5 { // appends extend the lease
			seq := int64(len(entries(s)))
			if err := write(s, "w1", job.Epoch, seq, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		if poll(t, h, "w1") != nil || !assignedTo(s, "w") || assignedTo(s, "x") {
			t.Error("begun, and handed out again")
		}
		if err := write(s, "w1", job.Epoch, 5, done); err != nil || endCode(s) != "done" {
			t.Error(err, endCode(s))
		}
		if err := write(s, "w1", job.Epoch, 5, done); err != nil { // its answer may be lost, too
			t.Error(err)
		}
	})
}

func TestSilentWorkerIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		poll(t, h, "w1")
		s := analyze(t, h, hub.StreamSpec{})
		first := mustPoll(t, h, "w1")
		if err := write(s, "w1", first.Epoch, 0, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		poll(t, h, "w2")
		time.Sleep(21 * time.Second)
		if poll(t, h, "w1") != nil {
			t.Error("back to the one that lost it, though there is another")
		}
		second := mustPoll(t, h, "w2")
		var fenced *hub.FencedError
		if err := write(s, "w1", first.Epoch, 1, nil); !errors.As(err, &fenced) || fenced.Epoch != second.Epoch {
			t.Errorf("a late write: %v", err)
		}
		if err := write(s, "w2", second.Epoch, 0, nil); err != nil {
			t.Error(err)
		}
		want := `found "w1"; analysis_restarted {"attempt":2,"reason":"fell silent"}; found "w2"`
		if got := strings.Join(entries(s), "; "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		time.Sleep(31 * time.Second)
		if got := endCode(s); got != "failed worker_lost" {
			t.Error(got)
		}
	})
}

func TestOnlyWorkerMayTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		poll(t, h, "w1")
		s := analyze(t, h, hub.StreamSpec{})
		mustPoll(t, h, "w1")
		time.Sleep(31 * time.Second)
		if job := mustPoll(t, h, "w1"); job.Epoch != 2 {
			t.Errorf("%+v", job)
		}
		if err := write(s, "w1", 2, 0, done); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		w1, w2 := &hub.Worker{ID: "w1", User: "w"}, &hub.Worker{ID: "w2", User: "w"}
		poll(t, h, "w1")
		alone := analyze(t, h, hub.StreamSpec{})
		mustPoll(t, h, "w1")
		if err := h.RefuseJob(w1, alone.ID, 1, "no gcc"); err != nil || endCode(alone) != "failed worker_refused" {
			t.Error(err, endCode(alone))
		}
		s := analyze(t, h, hub.StreamSpec{})
		mustPoll(t, h, "w1")
		poll(t, h, "w2", "semantic")
		poll(t, h, "w3")
		if err := h.RefuseJob(w2, s.ID, 1, ""); !errors.Is(err, errs.ErrForbidden) {
			t.Error(err)
		}
		if err := h.RefuseJob(&hub.Worker{ID: "w1", User: "x"}, s.ID, 1, ""); !errors.Is(err, errs.ErrNotFound) {
			t.Error(err)
		}
		if err := h.RefuseJob(w1, s.ID, 1, ""); err != nil {
			t.Error(err)
		}
		if poll(t, h, "w1") != nil {
			t.Error("given to the one that refused it")
		}
		err := h.RefuseJob(&hub.Worker{ID: "w3", User: "w"}, mustPoll(t, h, "w3").ID, 2, "me neither")
		if err != nil || endCode(s) != "failed worker_refused" {
			t.Error(err, endCode(s))
		}
		if err := h.RefuseJob(w1, s.ID, 1, ""); !errors.Is(err, errs.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestNobodyTakesAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		poll(t, h, "w1")
		s := analyze(t, h, hub.StreamSpec{})
		time.Sleep(61 * time.Second)
		if got := endCode(s); got != "failed no_worker" {
			t.Error(got)
		}
		if poll(t, h, "w1") != nil {
			t.Error("handed out after its end")
		}
	})
}

func TestCancelledJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		poll(t, h, "w1")
		waiting := analyze(t, h, hub.StreamSpec{})
		waiting.Cancel("u")
		if poll(t, h, "w1") != nil {
			t.Error("handed out after it was cancelled")
		}
		s := analyze(t, h, hub.StreamSpec{})
		mustPoll(t, h, "w1")
		s.Cancel("u")
		var ended *hub.EndedError
		if err := write(s, "w1", 1, 0, nil); !errors.As(err, &ended) || !ended.Receipt.Cancelled {
			t.Error(err)
		}
	})
}

func TestJobLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Limits: hub.Limits{JobsPerUser: 2, Jobs: 3, JobBytes: 100}})
		defer h.Close()
		poll(t, h, "w1")
		first := analyze(t, h, hub.StreamSpec{})
		analyze(t, h, hub.StreamSpec{})
		limit := func(owner, code, name string) {
			t.Helper()
			var over *errs.LimitError
			_, _, err := h.Analyze(&hub.AnalysisRequest{Files: []hub.AnalysisFile{{Path: "a", Code: code}}},
				hub.StreamSpec{Owner: owner})
			errors.As(err, &over)
			if over == nil && name != "" || over != nil && !strings.Contains(over.Name, "("+name+")") {
				t.Errorf("%v, want %q", err, name)
			}
		}
		limit("u", "x", "jobs_per_user")
		limit("v", strings.Repeat("x", 100), "job_bytes")
		limit("v", strings.Repeat("x", 90), "job_bytes")
		limit("v", "x", "")
		limit("v", "x", "jobs")
		first.Cancel("u")
		limit("u", "x", "")
	})
}

func TestJobsAreAnnouncedWithoutTheirCode(t *testing.T) {
	h := newHub(t, hub.Options{})
	wake := log.NewWake()
	r, _, err := h.Subscribe(hub.WorkerTopic, log.Position{}, wake)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.TakeJob(ctx, &hub.Worker{ID: "w", User: "w"}); err != nil {
		t.Fatal(err)
	}
	s := analyze(t, h, hub.StreamSpec{})
	items, _ := r.Read(nil)
	want := `{"id":"` + s.ID + `","stream":"` + s.ID + `","type":"style","files":2,"bytes":26}`
	if len(items) != 1 || string(items[0].Event.Payload()) != want {
		t.Errorf("%d events: %s", len(items), items[0].Event.Payload())
	}
}

// TestJobsUnderContention checks that each job ends once, and then no longer counts against the limits, while workers
// take, refuse and lose jobs and owners cancel them.
func TestJobsUnderContention(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{
		Lease: 20 * time.Millisecond, JobWait: 200 * time.Millisecond, JobsPerUser: 10,
	}})
	poll(t, h, "w0", "nothing") // without a known worker, Analyze below would be refused
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			w := &hub.Worker{ID: fmt.Sprint("w", n), User: "w"}
			for ctx.Err() == nil {
				job, err := h.TakeJob(ctx, w)
				if err != nil {
					t.Error(err)
					return
				}
				if job == nil {
					continue
				}
				s, err := h.Stream("w", job.ID)
				if err != nil {
					t.Error(err)
					return
				}
				switch rand.N(4) {
				case 0:
					_ = h.RefuseJob(w, job.ID, job.Epoch, "chance") // the lease may have expired
				case 1:
					time.Sleep(25 * time.Millisecond) // the lease has probably expired
					fallthrough
				default:
					_ = write(s, w.ID, job.Epoch, 0, done)
				}
			}
		})
	}
	var all []*hub.Stream
	for i := 0; i < 150; i++ {
		s, _, err := h.Analyze(request(), hub.StreamSpec{Owner: "u"})
		switch {
		case errors.Is(err, errs.ErrUnavailable), errors.Is(err, errs.ErrLimited):
			time.Sleep(time.Millisecond) // until there is room
			i--
			continue
		case err != nil:
			t.Fatal(err)
		case rand.N(5) == 0:
			work.Go(func() { s.Cancel("u") })
		}
		all = append(all, s)
	}
	for _, s := range all {
		select {
		case <-s.Done():
		case <-time.After(hubtest.Hung):
			t.Fatalf("it hangs: %s is %s", s.ID, s.Status())
		}
	}
	for range 10 { // a job stops counting a moment after its end is visible
		hubtest.Until(t, "room for ten", func() bool {
			_, _, err := h.Analyze(request(), hub.StreamSpec{Owner: "u"})
			return err == nil
		})
	}
	cancel()
	work.Wait()
}

func assignedTo(s *hub.Stream, user string) bool {
	assigned, err := s.WasAssignedTo(user)
	return assigned && err == nil
}
