package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// flushEvery is how long an issue waits for others that are sent with it.
const flushEvery = 200 * time.Millisecond

// lint runs the command over a job's files and streams what it finds, with the summary and the end. An error leaves the stream open.
func (w *worker) lint(ctx context.Context, j *job, s *jobStream) (*hub.AnalysisSummary, error) {
	s.add(hub.EntryProgress, map[string]any{"current": 0, "total": len(j.Files), "file": ""})
	if err := s.send(ctx); err != nil { // at once: it confirms that we have the job
		return nil, err
	}
	folder, err := newLintFolder(j.Files)
	if err != nil {
		return nil, err
	}
	defer folder.remove()
	if err := folder.addGoMod(ctx); err != nil {
		return nil, err
	}
	out := newLintOutput(folder, w.format, j.Type)
	command := lintCommand{argv: w.argv, env: w.env, timeout: w.timeout}
	code, err := command.run(ctx, folder, out, func(ended <-chan struct{}) error { return w.stream(ctx, out, s, ended) })
	if err != nil {
		return nil, err
	}
	if code != 0 && !out.understood() {
		return nil, fmt.Errorf("%s: exit status %d: %s", w.argv[0], code, out.last())
	}
	if w.format == "sarif" && !out.read {
		return nil, fmt.Errorf("%s printed no SARIF: %s", w.argv[0], out.last())
	}
	return &out.summary, w.report(ctx, j, s, out, code)
}

// report sends what is left, the summary, and the end.
func (w *worker) report(ctx context.Context, j *job, s *jobStream, out *lintOutput, code int) error {
	for found := out.take(); len(found) > 0; found = out.take() {
		s.issues(found)
		if err := s.send(ctx); err != nil {
			return err
		}
	}
	for i := range j.Files {
		s.add(hub.EntryFileAnalyzed, map[string]any{"file": j.Files[i].Path, "issues": out.counts[j.Files[i].Path]})
	}
	out.summary.Files = len(j.Files)
	metadata := map[string]any{"command": strings.Join(w.argv, " "), "exit_status": code, "unparsed": out.unparsed}
	if out.omitted > 0 {
		metadata["omitted"] = out.omitted
	}
	s.add(hub.EntryMetadata, metadata)
	s.add(hub.EntrySummary, &out.summary)
	return s.end(ctx, map[string]any{"event": "end", "status": "done"})
}

// stream sends what the command finds, and a request at least every beat, until the command has ended.
func (w *worker) stream(ctx context.Context, out *lintOutput, s *jobStream, ended <-chan struct{}) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-tick.C:
		}
		s.issues(out.take())
		if s.lines.Len() == 0 && time.Since(s.sent) < s.beat() {
			continue
		}
		if err := s.send(ctx); err != nil {
			return err
		}
	}
}
