package testnet

import (
	"fmt"
	"strings"
)

// Tail returns the end of a log, about as much as a screen shows.
func Tail(log string) string {
	const most = 30
	lines := strings.SplitAfter(strings.TrimRight(log, "\n"), "\n")
	if left := len(lines) - most; left > 0 {
		return fmt.Sprintf("(%d lines before it)\n%s", left, strings.Join(lines[left:], ""))
	}
	return strings.Join(lines, "")
}
