package coding

import (
	"slices"
	"strings"
)

// Change is a change in the form of the event code_change.
type Change struct {
	From Cursor `json:"from"`
	To   Cursor `json:"to"`
	Text string `json:"text"`
}

// ChangesOf returns the one range of lines in which two texts differ, or an empty list.
func ChangesOf(before, after string) []Change {
	a, b := slices.Collect(strings.Lines(before)), slices.Collect(strings.Lines(after))
	head, tail := 0, 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	if head+tail == len(a) && head+tail == len(b) {
		return []Change{}
	}
	text := strings.Join(b[head:len(b)-tail], "")
	return []Change{{From: Cursor{head + 1, 0}, To: Cursor{len(a) - tail + 1, 0}, Text: text}}
}
