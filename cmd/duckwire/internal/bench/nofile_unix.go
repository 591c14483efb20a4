//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// checkFiles returns an error if n connections exceed the limit of open files. Go raises the soft limit to the hard
// limit at start, and the servers that the bench starts inherit it.
func checkFiles(n int) error {
	const others = 64 // open files of a process in addition to its connections
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return nil
	}
	if most := uint64(limit.Max); uint64(n)+others > most {
		return fmt.Errorf("%d connections do not fit under the limit of %d open files; take at most %d, or raise it "+
			"(ulimit -Hn %d, as root)", n, most, most-others, n+others)
	}
	return nil
}
