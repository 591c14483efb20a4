package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel kill the child when this process dies, in case it is killed before it can stop the
// child.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// processUsage reads the process' CPU clock, to the nanosecond, and /proc (proc(5)).
func processUsage(pid int) usage {
	const clockSched = 2                 // the clock of a process' user and system time, in the kernel's posix-timers.h
	clock := int32(^pid<<3 | clockSched) // clock_getcpuclockid(3)
	var spent unix.Timespec
	if unix.ClockGettime(clock, &spent) != nil {
		return usage{}
	}
	u := usage{cpu: time.Duration(spent.Nano()), known: true}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.SplitSeq(string(status), "\n") {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "VmRSS":
			u.rss = kilobytes(value)
		case "VmHWM":
			u.peak = kilobytes(value)
		}
	}
	return u
}

func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
	return n << 10
}
