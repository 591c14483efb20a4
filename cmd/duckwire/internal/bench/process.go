package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Command describes a server's process.
type Command struct {
	Path string   // of the program
	Args []string // including the program's name
	Env  []string
	Dir  string
}

// process is a server that the bench started and must stop.
type process struct {
	cmd     *exec.Cmd
	readers sync.WaitGroup // of its log
	said    []byte         // the log's beginning, for the error if it does not start
}

// start starts a server and waits until it listens, which Duckwire and the bare loop report in a line of JSON on
// stderr.
func start(ctx context.Context, c Command, token string) (*Target, error) {
	cmd := exec.Command(c.Path) // no CommandContext: stop ends the process and waits for it
	cmd.Args, cmd.Env, cmd.Dir = c.Args, c.Env, c.Dir
	dieWithParent(cmd)
	// Not StderrPipe: Wait would close it before all of it was read.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	p := &process{cmd: cmd}
	listening := make(chan string, 1)
	p.readers.Go(func() { p.readLog(r, listening) })
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case rawURL, ok := <-listening:
		if u, err := url.Parse(rawURL); ok && err == nil {
			return &Target{addr: u.Host, token: token, proc: p}, nil
		}
		p.stop()
		return nil, fmt.Errorf("the server did not start: %s", bytes.TrimSpace(p.said))
	case <-timer.C:
		p.stop()
		return nil, fmt.Errorf("the server did not listen within %v", callTimeout)
	case <-ctx.Done():
		p.stop()
		return nil, context.Cause(ctx)
	}
}

// readLog finds the line with the server's URL, and then discards the log.
func (p *process) readLog(r io.ReadCloser, listening chan<- string) {
	defer r.Close()
	defer close(listening)
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		var entry struct{ Msg, URL string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
			listening <- entry.URL
			_, _ = io.Copy(io.Discard, lines)
			return
		}
		if len(p.said) < 4<<10 {
			p.said = append(p.said, line...)
		}
		if err != nil {
			return
		}
	}
}

// stop ends the process with SIGTERM, and after 5 s with SIGKILL.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // the exit code does not affect the results
	p.readers.Wait()
}

// Stop stops the server if the bench started it.
func (t *Target) Stop() {
	if t.proc != nil {
		t.proc.stop()
	}
	for _, node := range t.nodes {
		node.Stop()
	}
	if t.redis != nil {
		t.redis.stop()
	}
}

// usage has a process' processor time since its start, and its current and peak memory.
type usage struct {
	cpu       time.Duration
	rss, peak int64
	known     bool
}

func (t *Target) usage() (u usage) {
	if t.proc != nil {
		return processUsage(t.proc.cmd.Process.Pid)
	}
	for _, node := range t.nodes {
		one := node.usage()
		u = usage{cpu: u.cpu + one.cpu, rss: u.rss + one.rss, peak: u.peak + one.peak, known: one.known}
	}
	return u
}
