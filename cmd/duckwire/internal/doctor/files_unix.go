//go:build unix

package doctor

import "syscall"

// otherFiles estimates the files that a server has open in addition to clients' connections: the database, connections
// to the upstream, and connections that are being closed.
const otherFiles = 256

// checkFiles compares the limit of open files with the configured number of connections. Go raises the soft limit to
// the hard limit at start, so it checks the hard limit. A service's limits may differ from those of the shell that runs
// this.
func (l *Local) checkFiles(r *Report) {
	const check = "file limit"
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		r.Skip(check, "%v", err)
		return
	}
	most, want := uint64(limit.Max), uint64(l.Connections)+otherFiles
	switch {
	case most < 1024:
		r.Broken(check, "LimitNOFILE=131072 in the unit, ulimits.nofile in compose.yaml, or ulimit -Hn 131072 as root",
			"%d open files at most, here: that is no more than some %d connections", most,
			max(int64(most)-otherFiles, 0))
	case most < want:
		r.Warn(check,
			"raise the limit (LimitNOFILE in the unit, ulimits.nofile in compose.yaml, ulimit -Hn as root), or "+
				"lower connections",
			"%d open files at most, here, and connections is %d: from some %d on, new ones fail in place of being "+
				"told to wait", most, l.Connections, most-otherFiles)
	default:
		r.Fine(check, "%d open files for %d connections", most, l.Connections)
	}
}
