package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

var errTimeout = errors.New("the command ran for too long")

// lintCommand is a linter's command line.
type lintCommand struct {
	argv    []string // with {} for the folder and {files} for the paths of all files
	env     []string
	timeout time.Duration
}

// run runs the command in the folder to its end, and returns its exit status. Its whole process group is killed when ctx ends, after the
// timeout, and where during returns an error. during is called once, while the command runs, and returns when ended is closed.
func (c *lintCommand) run(ctx context.Context, folder *lintFolder, out *lintOutput, during func(ended <-chan struct{}) error) (code int, err error) {
	running, stop := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer stop()
	argv := folder.command(c.argv)
	stdout, stderr := &outputPipe{out: out, main: true}, &outputPipe{out: out}
	cmd := exec.CommandContext(running, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = folder.dir, c.env, stdout, stderr
	cmd.WaitDelay = 3 * time.Second // for processes that it left behind and that have its outputs open
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the command cannot be run: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its result stands in ProcessState
		close(ended)
	}()
	failed := during(ended)
	stop()
	<-ended
	killGroup(cmd) // what it left running
	switch {
	case ctx.Err() != nil:
		return 0, context.Canceled
	case failed != nil:
		return 0, failed
	case errors.Is(context.Cause(running), errTimeout):
		return 0, fmt.Errorf("%w: more than %v", errTimeout, c.timeout)
	}
	stdout.finish()
	stderr.finish()
	return cmd.ProcessState.ExitCode(), nil
}
