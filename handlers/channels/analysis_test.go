package channels_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/duckwire/duckwire/handlers/channels"
	"github.com/duckwire/duckwire/hub"
)

const analysed = "analysis:project:42"

// analyses begins an analysis in place of the real ones.
type analyses = func(*hub.Hub, *channels.AnalysisAsk, hub.StreamSpec) (*hub.Stream, error)

// analyser returns analyses that store the request in asked, have these entries, and end with ending; if it is nil they
// run until they are cancelled.
func analyser(t *testing.T, asked *channels.AnalysisAsk, ending *hub.Ending, entries ...hub.Part) analyses {
	return func(h *hub.Hub, what *channels.AnalysisAsk, spec hub.StreamSpec) (*hub.Stream, error) {
		*asked = *what
		spec.ID, spec.Alias = spec.Alias, "" // as CreateStream requires
		s, old, err := h.CreateStream(spec)
		if err != nil || old {
			return s, err
		}
		a, err := s.Append(hub.ProducerRef{})
		if err != nil {
			return nil, err
		}
		if err := a.Add(entries); err != nil {
			return nil, err
		}
		_, err = a.End(ending)
		return s, err
	}
}

var foundThings = []hub.Part{
	{Name: "analysis_progress", Data: []byte(`{"current":1,"total":2,"file":"a.ex"}`)},
	{
		Name: "analysis_update",
		Data: []byte(
			`{"type":"style","issues":[{"line":1,"column":2,"message":"long","severity":"low"}],"analysis_id":"forged"}`,
		),
	},
	{Name: "file_analyzed", Data: []byte(`{"file":"a.ex","result":{"issues":[]}}`)},
	{Name: "phx_close", Data: []byte(`{}`)}, // reserved: a producer cannot send it
	{Name: "analysis_update", Data: []byte(`{"type":"security","issues":[{"line":3},{"line":4}]}`)},
	{Name: "file_analyzed", Data: []byte(`{"file":"b.ex","result":{"issues":[]}}`)},
}

func TestProjectAnalysis(t *testing.T) {
	var asked channels.AnalysisAsk
	s := start(t, nil, channels.Analysing(analyser(t, &asked, &hub.Ending{Status: hub.StatusDone}, foundThings...))...)
	c := s.dial("u")
	if r := c.join(analysed, `{}`); r["status"] != "joined" || r["project_id"] != "42" {
		t.Errorf("joined with %v", r)
	}
	id := c.ok(analysed, "start_analysis", `{"id":"mine","options":{"incremental":true}}`)["analysis_id"]
	if asked.Project != "42" || string(asked.Options) != `{"incremental":true}` {
		t.Errorf("asked for %+v", asked)
	}
	var position any
	for i, want := range []string{
		"analysis_started", "analysis_progress", "analysis_update", "file_analyzed", "analysis_update", "file_analyzed",
	} {
		p := c.want(want)
		if p["analysis_id"] != id || p["project_id"] != "42" || p["timestamp"] == nil || (p["position"] == nil) != (i == 0) {
			t.Errorf("%s: %v", want, p)
		}
		if i == 2 {
			position = p["position"]
		}
	}
	end := c.want("analysis_complete")
	summary, _ := json.Marshal(end["summary"])
	want := `{"files_analyzed":2,"security_issues":2,"semantic_issues":0,"style_issues":1,"total_issues":3}`
	if string(summary) != want {
		t.Errorf("the summary is %s, want %s", summary, want)
	}
	if end["status"] != "success" || end["total_files"] != 2. || end["project_id"] != "42" || end["analysis_id"] != id {
		t.Errorf("the end is %v", end)
	}
	if st := c.ok(analysed, "get_status", fmt.Sprintf(`{"analysis_id":%q}`, id)); st["status"] != "done" {
		t.Errorf("the status is %v", st)
	}
	// On another socket, from the middle on: what follows, and the same end.
	c = s.dial("u")
	c.join(analysed, `{}`)
	again := fmt.Sprintf(`{"id":"mine","after":%q,"options":{"incremental":true}}`, position)
	if r := c.ok(analysed, "start_analysis", again); r["recovered"] != true || r["analysis_id"] != id {
		t.Errorf("asked again: %v", r)
	}
	for _, want := range []string{"file_analyzed", "analysis_update", "file_analyzed"} {
		c.want(want)
	}
	if again, _ := json.Marshal(c.want("analysis_complete")["summary"]); string(again) != string(summary) {
		t.Errorf("the summary is %s, was %s", again, summary)
	}
}

func TestAnalysesOfCode(t *testing.T) {
	var asked channels.AnalysisAsk
	s := start(t, nil, channels.Analysing(analyser(t, &asked, &hub.Ending{Status: hub.StatusDone}, foundThings[1]))...)
	c := s.dial("u")
	c.join(analysed, `{}`)
	c.join(project, `{}`)
	for _, tt := range []struct {
		topic, event, payload string
		last                  []string
	}{
		{project, "request_analysis", `{"code":"x","file_type":"elixir"}`, []string{"analysis_result"}},
		{project, "analyze", `{"code":"x","file_path":"a.ex"}`, []string{"analysis_complete"}},
		{
			analysed, "analyze", `{"type":"style","code":"x","language":"elixir"}`,
			[]string{"analysis_result", "analysis_complete"},
		},
	} {
		r := c.ok(tt.topic, tt.event, tt.payload)
		if r["analysis_id"] == nil || r["request_id"] != r["analysis_id"] || asked.Code != "x" || asked.Language != "elixir" {
			t.Errorf("%s %s: %v of %+v", tt.topic, tt.event, r, asked)
		}
		c.want("analysis_started")
		c.want("analysis_update")
		for i, name := range tt.last {
			p := c.want(name)
			result, _ := p["result"].(map[string]any)
			issues, _ := result["issues"].([]any)
			if p["analysis_id"] != r["analysis_id"] || p["request_id"] != r["request_id"] || i == 0 &&
				(len(issues) != 1 || result["language"] != "elixir") {
				t.Errorf("%s %s: %v", tt.topic, tt.event, p)
			}
		}
	}
}

func TestAnalysisCancelledAndFailed(t *testing.T) {
	var asked channels.AnalysisAsk
	s := start(t, nil, channels.Analysing(analyser(t, &asked, nil, foundThings[0]))...)
	c := s.dial("u")
	c.join(analysed, `{}`)
	id := c.ok(analysed, "start_analysis", `{}`)["analysis_id"]
	c.want("analysis_started")
	c.want("analysis_progress")
	c.ok(analysed, "cancel_analysis", fmt.Sprintf(`{"analysis_id":%q}`, id))
	if end := c.want("analysis_error"); end["error"] != "cancelled" || end["analysis_id"] != id {
		t.Errorf("the end is %v", end)
	}
	s = start(
		t, nil,
		channels.Analysing(
			analyser(t, &asked, &hub.Ending{Status: hub.StatusFailed, Error: &hub.EndError{Code: "broken", Message: "no luck"}}),
		)...,
	)
	c = s.dial("u")
	c.join(analysed, `{}`)
	c.ok(analysed, "start_analysis", `{}`)
	c.want("analysis_started")
	if end := c.want("analysis_error"); end["error"] != "no luck" || end["code"] != "broken" {
		t.Errorf("the end is %v", end)
	}
}

func TestAnalysisRefusals(t *testing.T) {
	var asked channels.AnalysisAsk
	s := start(t, nil, channels.Analysing(analyser(t, &asked, &hub.Ending{Status: hub.StatusDone}))...)
	c := s.dial("u", "code:*=subscribe,publish", analysed+"=subscribe,publish")
	if status, r := c.ask("analysis:project:1", "phx_join", `{}`); status != "error" ||
		fmt.Sprint(r) != "map[code:forbidden reason:unauthorized]" {
		t.Errorf("joining: %s %v", status, r)
	}
	c.join(analysed, `{}`)
	c.join(project, `{}`)
	for _, e := range [][3]string{
		{analysed, "start_analysis", `{}`},
		{analysed, "analyze", `{"code":"x","type":"style"}`},
		{project, "analyze", `{"code":"x"}`},
		{project, "request_analysis", `{"code":"x"}`},
	} {
		if status, r := c.ask(e[0], e[1], e[2]); status != "error" || r["reason"] != "forbidden" {
			t.Errorf("%v: %s %v", e, status, r)
		}
	}
	may := s.dial("u")
	may.join(analysed, `{}`)
	for _, e := range [][3]string{
		{"analyze", `{"type":"style"}`, "code"},
		{"analyze", `{"code":"x","type":1}`, "type"},
		{"start_analysis", `{"options":1}`, "options"},
		{"start_analysis", `{"after":1}`, "after"},
		{"start_analysis", `{"id":"a b"}`, "id"},
		{"start_analysis", `[]`, "payload"},
		{"cancel_analysis", `{}`, "request_id"},
	} {
		if status, r := may.ask(analysed, e[0], e[1]); status != "error" || r["field"] != e[2] {
			t.Errorf("%v: %s %v", e, status, r)
		}
	}
	plain := start(t, nil).dial("u")
	plain.join(analysed, `{}`)
	if status, r := plain.ask(analysed, "start_analysis", `{}`); status != "error" || r["reason"] != "unavailable" {
		t.Errorf("without an analyser: %s %v", status, r)
	}
}
