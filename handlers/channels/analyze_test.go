package channels_test

import (
	"context"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// finder is a provider that finds one issue in every file.
type finder struct{ scripted }

func (finder) Analyze(_ context.Context, req *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	for i := range req.Files {
		if err := w.Progress(i); err != nil {
			return err
		}
		file := &req.Files[i]
		if err := w.Issues(hub.Issue{File: file.Path, Line: 3, Message: "found in " + file.Code}); err != nil {
			return err
		}
		if err := w.FileDone(i); err != nil {
			return err
		}
	}
	return nil
}

// TestAnalysesByTheHub: the hub runs analyses that are requested on a channel, of code and of files that come with a
// project. Files that only a worker could read need a worker.
func TestAnalysesByTheHub(t *testing.T) {
	s := start(t, finder{})
	c := s.dial("ada", "code:*=*", "analysis:*=*")
	c.join("code:project:1", `{}`)
	c.ok("code:project:1", "request_analysis", `{"code":"x := 1","file_type":"go"}`)
	result := waitFor(c, "analysis_result")["result"].(map[string]any)
	issue := result["issues"].([]any)[0].(map[string]any)
	if issue["message"] != "found in x := 1" || issue["line"] != 3.0 {
		t.Errorf("issue: %v", issue)
	}

	c.join("analysis:project:1", `{}`)
	c.ok("analysis:project:1", "start_analysis", `{"files":[{"path":"a.go","code":"a"},{"path":"b.go","code":"b"}]}`)
	done := waitFor(c, "analysis_complete")
	if done["total_files"] != 2.0 || done["summary"].(map[string]any)["total_issues"] != 2.0 || done["project_id"] != "1" {
		t.Errorf("complete: %v", done)
	}
	if status, response := c.ask("analysis:project:1", "start_analysis", `{}`); status != "error" ||
		response["reason"] != "unavailable" {
		t.Errorf("without files and workers: %s %v", status, response)
	}
}

// waitFor returns the payload of the next event of that name, and skips others.
func waitFor(c *client, event string) map[string]any {
	for {
		if m := c.next(); m.Event == event {
			return object(c.t, m.Payload)
		}
	}
}
