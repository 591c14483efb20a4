package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dieWithParent has the kernel kill the child when this process dies, in case it is killed before it can stop the
// child.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// clockTick is the unit of times in /proc (proc(5): sysconf(_SC_CLK_TCK), 100 a second wherever Go runs).
const clockTick = 10 * time.Millisecond

// processUsage reads /proc (proc(5)).
func processUsage(pid int) usage {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}
	}
	// The name may contain spaces and brackets, so fields are counted from its end. utime and stime are fields 14 and
	// 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return usage{}
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	u := usage{cpu: time.Duration(user+system) * clockTick, known: true}
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
