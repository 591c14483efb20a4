package lint

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

var errTimeout = errors.New("the command ran for too long")

// Command is a linter's command line.
type Command struct {
	Argv    []string // with {} for the folder and {files} for the paths of all files
	Env     []string
	Timeout time.Duration
}

// Run runs the command in the folder until it ends, and returns its exit status. It kills the command's process group
// when ctx ends, after the timeout, and if during returns an error. It calls during once, while the command runs;
// during must return when ended is closed.
func (c *Command) Run(
	ctx context.Context, folder *Folder, out *Output, during func(ended <-chan struct{}) error,
) (code int, err error) {
	running, stop := context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
	defer stop()
	argv := folder.command(c.Argv)
	stdout, stderr := &outputPipe{out: out, main: true}, &outputPipe{out: out}
	cmd := exec.CommandContext(running, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = folder.dir, c.Env, stdout, stderr
	cmd.WaitDelay = 3 * time.Second // for processes that it left behind and that keep its outputs open
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the command cannot be run: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the result is in ProcessState
		close(ended)
	}()
	failed := during(ended)
	stop()
	<-ended
	killGroup(cmd) // processes that it left running
	switch {
	case ctx.Err() != nil:
		return 0, context.Canceled
	case failed != nil:
		return 0, failed
	case errors.Is(context.Cause(running), errTimeout):
		return 0, fmt.Errorf("%w: more than %v", errTimeout, c.Timeout)
	}
	stdout.finish()
	stderr.finish()
	return cmd.ProcessState.ExitCode(), nil
}
