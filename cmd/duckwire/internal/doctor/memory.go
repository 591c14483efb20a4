package doctor

import (
	"bufio"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// checkMemory compares the memory limits of topics, streams and jobs with the memory of the machine. The rest is needed
// for connections (about 10 KiB each), requests and garbage: the heap grows to about twice the memory in use before it
// is collected.
func (l *Local) checkMemory(r *Report) {
	const check = "memory"
	most, from := memoryLimit("/")
	if most == 0 {
		r.Skip(check, "this system does not tell how much there is")
		return
	}
	want := uint64(l.LogMemory + l.JobBytes)
	do := "give it more memory, or lower log_memory to about " + showBytes(most/4)
	switch {
	case want >= most:
		r.Broken(check, do, "log_memory and job_bytes may take %s, and %s is %s: the system would kill the server",
			showBytes(want), from, showBytes(most))
	case 2*want > most:
		r.Warn(check, do,
			"log_memory and job_bytes may take %s, more than half of %s (%s): collecting garbage needs as much again",
			showBytes(want), from, showBytes(most))
	default:
		r.Fine(check, "%s for topics, streams and jobs, and %s is %s", showBytes(want), from, showBytes(most))
	}
}

// memoryLimit returns the lowest memory limit of this process, and where it comes from: a control group, or the
// machine. 0 means unknown. root is the folder that contains proc and sys.
func memoryLimit(root string) (most uint64, from string) {
	most, from = machineMemory(path.Join(root, "proc/meminfo")), "this machine's memory"
	for _, dir := range controlGroups(root) {
		for _, name := range []string{"memory.max", "memory.high", "memory.limit_in_bytes"} {
			text, err := os.ReadFile(path.Join(dir, name))
			if err != nil {
				continue
			}
			// Without a limit, version 2 writes "max", which does not parse, and version 1 a huge number.
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 &&
				(most == 0 || n < most) {
				most, from = n, "the control group's limit ("+name+")"
			}
		}
	}
	return most, from
}

// controlGroups returns the folders of this process's control groups and their parents, of either version (cgroups(7)).
// In a container the process's own group is often mounted as the root.
func controlGroups(root string) (dirs []string) {
	text, _ := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		top := path.Join(root, "sys/fs/cgroup")
		switch {
		case parts[0] == "0":
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			top = path.Join(top, "memory")
		default:
			continue
		}
		for group := path.Join("/", parts[2]); ; group = path.Dir(group) {
			dirs = append(dirs, path.Join(top, group))
			if group == "/" {
				break
			}
		}
	}
	return dirs
}

// machineMemory reads the line "MemTotal: 24689036 kB". It returns 0 if there is none.
func machineMemory(file string) uint64 {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseUint(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}
