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

// Command starts a server as a process of its own.
type Command struct {
	Path string   // of the program
	Args []string // all, the program's name included
	Env  []string
	Dir  string
}

// process is a server that we started, and end.
type process struct {
	cmd     *exec.Cmd
	readers sync.WaitGroup // of its log
	said    []byte         // the log's beginning, for when it does not start
}

// start starts a server and waits until it listens: both kinds say so in a line of JSON on stderr.
func start(ctx context.Context, c Command, token string) (*Target, error) {
	cmd := exec.Command(c.Path) // ended by stop alone, so that it is always waited for
	cmd.Args, cmd.Env, cmd.Dir = c.Args, c.Env, c.Dir
	dieWithParent(cmd)
	// A pipe of our own: Wait would close exec's before it is read to its end.
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

// readLog finds the line that says where the server listens, and then throws the log away.
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

// stop ends the process, by asking, and after a while by force.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // how it ended says nothing about the figures
	p.readers.Wait()
}

// Stop ends the server, if it is ours.
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

// usage is what a process has used: processor time since its start, memory now and at most.
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
