package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

const jobsPath = "/v1/workers/analysis/jobs"

// analyst is a provider that can also analyse.
type analyst struct {
	scripted
	analyze func(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error
}

func (a analyst) Analyze(ctx context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	return a.analyze(ctx, req, w)
}

func noIssues(context.Context, *hub.AnalysisRequest, hub.AnalysisWriter) error { return nil }

func analysisJSON(more string) string { return `{"path":"a.go","code":"package a"` + more + `}` }

type jobJSON struct {
	Jobs []struct {
		ID, Stream, Type string
		Files            []hub.AnalysisFile
		Options          json.RawMessage
		Lease            float64 `json:"lease_seconds"`
		Producer         string  `json:"producer_id"`
		Epoch            int64   `json:"producer_epoch"`
	}
}

// producer returns the headers of a worker's append.
func producer(id string, epoch, seq int) []string {
	return []string{
		ndjson, "Producer-Id: " + id, fmt.Sprintf("Producer-Epoch: %d", epoch), fmt.Sprintf("Producer-Seq: %d", seq),
	}
}

// TestAnalysisByTheProvider runs an analysis by the provider, from the request to the summary.
func TestAnalysisByTheProvider(t *testing.T) {
	analyse := func(_ context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
		if err := w.Progress(0); err != nil {
			return err
		}
		return w.Issues(
			hub.Issue{
				Message: string(req.Options), File: req.Files[0].Path, Line: 1, Column: 2, EndLine: 1, EndColumn: 4,
				Severity: "warning", Rule: "R1",
			},
		)
	}
	s := startServer(t, analyst{scripted(hello), analyse}, hub.Limits{}, nil)
	body := analysisJSON(`,"type":"style","topic":"analysis:file:a.go","id":"mine","options":{"deep":true}`)
	made := call[streamJSON](s, 202, "POST", "/v1/analyses", body)
	again := call[streamJSON](s, 202, "POST", "/v1/analyses", body)
	if made.ID != again.ID || made.Kind != "analysis" || !strings.HasPrefix(made.ID, "ana_") {
		t.Errorf("%+v, again %+v", made, again)
	}
	st := call[streamJSON](s, 200, "GET", "/v1/streams/mine?wait=5&after="+awaitEnd(s, made.ID), "")
	if st.Status != "done" {
		t.Errorf("%+v", st)
	}
	st = call[streamJSON](s, 200, "GET", "/v1/streams/mine", "")
	var names []string
	for _, e := range st.Events {
		names = append(names, e.Event)
		switch e.Event {
		case "analysis_update":
			contract.checkJSON(t, "AnalysisUpdate", string(e.Data), e.Event)
		case "analysis_summary":
			contract.checkJSON(t, "AnalysisSummary", string(e.Data), e.Event)
		}
	}
	if got := strings.Join(names, " "); got != "analysis_progress analysis_update file_analyzed analysis_summary" {
		t.Error(got)
	}
	call[problem](s, 409, "POST", "/v1/analyses", analysisJSON(`,"id":"mine"`))
}

// awaitEnd waits for a stream's end, and returns its position.
func awaitEnd(s *testServer, id string) string {
	s.t.Helper()
	for after := ""; ; {
		st := call[streamJSON](s, 200, "GET", "/v1/streams/"+id+"?wait=10&after="+after, "")
		if after = st.Position; st.Status != "running" && st.Status != "queued" {
			return after
		}
	}
}

func TestAnswersOfAnalyses(t *testing.T) {
	s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, func(o *handlers.Options) { o.BodyBytes = 1000 })
	for field, body := range map[string]string{
		"type":      analysisJSON(`,"type":"a b"`),
		"files":     `{"type":"style"}`,
		"code":      analysisJSON(`,"files":[{"path":"b","code":""}]`),
		"options":   analysisJSON(`,"options":7`),
		"supersede": analysisJSON(`,"supersede":"x"`),
		"keep":      analysisJSON(`,"keep":1`),
		"slot":      analysisJSON(`,"slot":"a b"`),
		"id":        analysisJSON(`,"id":"a/b"`),
		"nonsense":  analysisJSON(`,"nonsense":1`),
	} {
		if p := call[problem](s, 400, "POST", "/v1/analyses", body); p.Field != field {
			t.Errorf("%s: %+v", body, p)
		}
	}
	s.expect(403, "POST", "/v1/analyses", analysisJSON(""), "Authorization: Bearer "+token(t, "guest", "t=subscribe"))
	s.expect(413, "POST", "/v1/analyses", strings.Repeat("x", 1001))
	s.expect(202, "POST", "/v1/analyses", analysisJSON(""), "Idempotency-Key: k1")
	lone := startServer(t, scripted(hello), hub.Limits{}, nil) // without workers
	p := call[problem](lone, 503, "POST", "/v1/analyses", analysisJSON(""))
	if !strings.Contains(p.Detail, "duckwire worker") {
		t.Errorf("%+v", p)
	}

	full := startServer(t, nil, hub.Limits{JobsPerUser: 1}, nil)
	full.expect(200, "GET", jobsPath+"?worker=w", "")
	full.expect(202, "POST", "/v1/analyses", analysisJSON(""))
	full.expect(429, "POST", "/v1/analyses", analysisJSON(""))
}

func TestAnswersOfJobs(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.BodyBytes = 1000 })
	guest := "Authorization: Bearer " + token(t, "guest", "t=*")
	s.expect(400, "GET", jobsPath, "")
	s.expect(400, "GET", jobsPath+"?worker=w&types=a,,b", "")
	s.expect(403, "GET", jobsPath+"?worker=w", "", guest)
	s.expect(404, "GET", "/v1/workers/cooking/jobs?worker=w", "")
	s.expect(200, "GET", jobsPath+"?worker=w", "")
	id := call[streamJSON](s, 202, "POST", "/v1/analyses", analysisJSON("")).ID
	refuse := jobsPath + "/" + id + "/refuse"
	const no = `{"worker":"w","producer_epoch":1,"reason":"no"}`
	s.expect(403, "POST", refuse, no, guest)
	s.expect(404, "POST", refuse, no) // before a worker has taken it
	if p := call[jobJSON](s, 200, "GET", jobsPath+"?worker=w", ""); len(p.Jobs) != 1 || p.Jobs[0].ID != id {
		t.Fatalf("%+v", p)
	}
	s.expect(400, "POST", refuse, `{"worker":""}`)
	s.expect(413, "POST", refuse, strings.Repeat("x", 1001))
	if p := call[problem](s, 403, "POST", refuse, `{"worker":"other","producer_epoch":1}`); p.Code != "fenced" {
		t.Errorf("%+v", p)
	}
	s.expect(204, "POST", refuse, no)
	s.expect(409, "POST", refuse, no)
	if st := call[streamJSON](s, 200, "GET", "/v1/streams/"+id, ""); st.Status != "failed" ||
		st.Error.Code != "worker_refused" {
		t.Errorf("%+v", st)
	}

	s.expect(202, "POST", "/v1/analyses", `{"project":"42"}`)
	if p := call[jobJSON](s, 200, "GET", jobsPath+"?worker=w2", ""); len(p.Jobs) != 1 || p.Jobs[0].Files == nil {
		t.Errorf("%+v", p)
	}

	full := startServer(t, nil, hub.Limits{}, func(o *handlers.Options) { o.ConnectionsPerUser = 1 })
	full.stream("GET", eventsPath, "").want("hello")
	full.expect(429, "GET", jobsPath+"?worker=w", "")
	full.hub.Drain(t.Context())
}

// TestWorkerOverHTTP: a worker that may only work, without rights on the topic or the stream, does a job. Another
// user's worker cannot interfere.
func TestWorkerOverHTTP(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	worker := "Authorization: Bearer " + token(t, "linter", "worker:analysis=produce")
	other := "Authorization: Bearer " + token(t, "other", "worker:analysis=produce")
	took := make(chan jobJSON)
	go func() { took <- call[jobJSON](s, 200, "GET", jobsPath+"?worker=w1&types=style&wait=10", "", worker) }()
	var id string
	hubtest.Until(t, "the worker to be known", func() bool {
		resp := s.do("POST", "/v1/analyses", analysisJSON(`,"type":"style","topic":"analysis:project:1"`))
		resp.Body.Close()
		id = resp.Header.Get("Duckwire-Stream")
		return resp.StatusCode == http.StatusAccepted
	})
	got := <-took
	if len(got.Jobs) != 1 || got.Jobs[0].Stream != id || got.Jobs[0].Files[0].Code != "package a" ||
		got.Jobs[0].Epoch != 1 || got.Jobs[0].Producer != "w1" {
		t.Fatalf("%+v", got)
	}
	put := "/v1/streams/" + id + "/append"
	s.expect(404, "POST", put, `{"event":"e"}`, append(producer("w1", 1, 0), other)...)
	s.expect(
		200, "POST", put, `{"event":"analysis_update","type":"style","issues":[]}`, append(producer("w1", 1, 0), worker)...,
	)
	s.expect(200, "POST", put, "", append(producer("w1", 1, 1), worker)...) // a heartbeat
	s.expect(403, "POST", put, "{}", append(producer("w1", 2, 0), worker)...)
	s.expect(403, "POST", put, `{"text":"x"}`, ndjson, worker)
	s.expect(200, "POST", put, `{"event":"end"}`, append(producer("w1", 1, 2), worker)...)
	s.expect(204, "POST", put, `{"event":"end"}`, append(producer("w1", 1, 2), worker)...)
	if st := call[streamJSON](s, 200, "GET", "/v1/streams/"+id, ""); st.Status != "done" {
		t.Errorf("%+v", st)
	}
	s.expect(404, "GET", "/v1/streams/"+id, "", worker) // the right to write does not include reading
}

// TestCancelReachesTheWorker: a worker is told of a cancellation with its next append.
func TestCancelReachesTheWorker(t *testing.T) {
	s := startServer(t, nil, hub.Limits{}, nil)
	s.expect(200, "GET", jobsPath+"?worker=w", "")
	id := call[streamJSON](s, 202, "POST", "/v1/analyses", analysisJSON("")).ID
	s.expect(200, "GET", jobsPath+"?worker=w", "")
	s.expect(200, "DELETE", "/v1/streams/"+id, "")
	resp := s.expect(409, "POST", "/v1/streams/"+id+"/append", "", producer("w", 1, 0)...)
	if resp.Header.Get("Duckwire-Cancelled") != "true" {
		t.Errorf("%v", resp.Header)
	}
}
