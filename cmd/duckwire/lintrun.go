package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/hub"
)

// flushEvery is how long an issue waits for others that are sent with it.
const flushEvery = 200 * time.Millisecond

var errTimeout = errors.New("the command ran for too long")

// lint runs the command over a job's files and streams what it finds, with the summary and the end. An error leaves the stream open.
func (w *workerCmd) lint(ctx context.Context, j *job, s *jobStream) (*hub.AnalysisSummary, error) {
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
	code, err := w.execute(ctx, out, s)
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
func (w *workerCmd) report(ctx context.Context, j *job, s *jobStream, out *lintOutput, code int) error {
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

// execute runs the command to its end and returns its exit status. Its whole process group is killed when ctx ends, the time is over, or
// the server wants no more.
func (w *workerCmd) execute(ctx context.Context, out *lintOutput, s *jobStream) (code int, err error) {
	running, stop := context.WithTimeoutCause(ctx, w.timeout, errTimeout)
	defer stop()
	argv := out.folder.command(w.argv)
	stdout, stderr := &outputPipe{out: out, main: true}, &outputPipe{out: out}
	cmd := exec.CommandContext(running, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = out.folder.dir, config.ForeignEnviron(), stdout, stderr
	cmd.WaitDelay = 3 * time.Second // for what it left behind and holds its outputs
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the command cannot be run: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its result stands in ProcessState
		close(ended)
	}()
	lost := w.stream(ctx, out, s, ended)
	stop()
	<-ended
	killGroup(cmd) // what it left running
	switch {
	case ctx.Err() != nil:
		return 0, context.Canceled
	case lost != nil:
		return 0, lost
	case errors.Is(context.Cause(running), errTimeout):
		return 0, fmt.Errorf("%w: more than %v", errTimeout, w.timeout)
	}
	stdout.finish()
	stderr.finish()
	return cmd.ProcessState.ExitCode(), nil
}

// stream sends what the command finds, and signs of life, until it has ended.
func (w *workerCmd) stream(ctx context.Context, out *lintOutput, s *jobStream, ended <-chan struct{}) error {
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
