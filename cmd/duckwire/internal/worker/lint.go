package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/lint"
	"github.com/duckwire/duckwire/hub"
)

// flushEvery is how long an issue waits for others, so that they are sent together.
const flushEvery = 200 * time.Millisecond

// lint runs the command over a job's files, and streams the issues that it finds, the summary and the end. After an
// error the stream is still open.
func (w *Worker) lint(ctx context.Context, j *job, s *jobStream) (*hub.AnalysisSummary, error) {
	s.add(hub.EntryProgress, map[string]any{"current": 0, "total": len(j.Files), "file": ""})
	if err := s.send(ctx); err != nil { // confirms to the server that the job was taken
		return nil, err
	}
	folder, err := lint.NewFolder(j.Files)
	if err != nil {
		return nil, err
	}
	defer folder.Remove()
	if err := folder.AddGoMod(ctx); err != nil {
		return nil, err
	}
	out := lint.NewOutput(folder, w.Format, j.Type)
	command := lint.Command{Argv: w.Argv, Env: w.Env, Timeout: w.Timeout}
	code, err := command.Run(ctx, folder, out, func(ended <-chan struct{}) error { return w.stream(ctx, out, s, ended) })
	if err != nil {
		return nil, err
	}
	if code != 0 && !out.Understood() {
		return nil, fmt.Errorf("%s: exit status %d: %s", w.Argv[0], code, out.Last())
	}
	if w.Format == "sarif" && !out.ReadSARIF {
		return nil, fmt.Errorf("%s printed no SARIF: %s", w.Argv[0], out.Last())
	}
	return &out.Summary, w.report(ctx, j, s, out, code)
}

// report sends the remaining issues, the summary, and the end.
func (w *Worker) report(ctx context.Context, j *job, s *jobStream, out *lint.Output, code int) error {
	for found := out.Take(); len(found) > 0; found = out.Take() {
		s.issues(found)
		if err := s.send(ctx); err != nil {
			return err
		}
	}
	for i := range j.Files {
		s.add(hub.EntryFileAnalyzed, map[string]any{"file": j.Files[i].Path, "issues": out.Counts[j.Files[i].Path]})
	}
	out.Summary.Files = len(j.Files)
	metadata := map[string]any{"command": strings.Join(w.Argv, " "), "exit_status": code, "unparsed": out.Unparsed}
	if out.Omitted > 0 {
		metadata["omitted"] = out.Omitted
	}
	s.add(hub.EntryMetadata, metadata)
	s.add(hub.EntrySummary, &out.Summary)
	return s.end(ctx, map[string]any{"event": "end", "status": "done"})
}

// stream sends the issues that the command finds, with at least one request per beat, until the command has ended.
func (w *Worker) stream(ctx context.Context, out *lint.Output, s *jobStream, ended <-chan struct{}) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-tick.C:
		}
		s.issues(out.Take())
		if s.lines.Len() == 0 && time.Since(s.sent) < s.beat() {
			continue
		}
		if err := s.send(ctx); err != nil {
			return err
		}
	}
}
