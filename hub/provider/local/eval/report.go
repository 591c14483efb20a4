package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// tally adds up the cuts of one kind.
type tally struct {
	name                            string
	cuts, silent, exact, accepted   int
	hidden, proposed, right, useful int // characters
}

// report requests a completion at each cut, and prints the results.
func report(ctx context.Context, w io.Writer, texts []string, cuts int, seed uint64, show int) error {
	tallies := []*tally{
		{name: "rest of the line, suffix known"},
		{name: "a few lines, suffix known"},
		{name: "a few lines, at the file's end"},
	}
	all := &tally{name: "all"}
	r := rand.New(rand.NewPCG(seed, 1))
	var slowest, spent time.Duration
	for _, text := range texts {
		for i := range cuts {
			sort := i % len(tallies)
			prefix, hidden, suffix := cut(text, sort, r)
			start := time.Now()
			got, err := complete(ctx, prefix, suffix)
			if err != nil {
				return err
			}
			took := time.Since(start)
			spent, slowest = spent+took, max(slowest, took)
			tallies[sort].add(hidden, got)
			all.add(hidden, got)
			if show > 0 && got != "" {
				show--
				fmt.Fprintf(w, "%s\x1b[7m%s\x1b[0m\n--- hidden: %q\n=== \n", last(prefix, 4), got, hidden)
			}
		}
	}
	fmt.Fprintf(w, "%d files, %d cuts, seed %d; %s a cut, the slowest %s\n\n", len(texts), all.cuts, seed,
		(spent / time.Duration(max(all.cuts, 1))).Round(10*time.Microsecond), slowest.Round(time.Millisecond))
	fmt.Fprintf(w, "%-32s %6s %-7s %7s %10s %6s %9s\n", "", "saved", "", "silent", "precision", "exact", "accepted")
	for _, t := range append(tallies, all) {
		t.print(w)
	}
	return keys(ctx, w, texts, seed)
}

// cut chooses a place in text, and the hidden text after it.
func cut(text string, sort int, r *rand.Rand) (prefix, hidden, suffix string) {
	at := 200 + r.IntN(len(text)-400)
	for !utf8.RuneStart(text[at]) {
		at++
	}
	rest := text[at:]
	lines := 1
	if sort > 0 {
		lines = 2 + r.IntN(5)
	}
	end := 0
	for range lines {
		i := strings.IndexByte(rest[end:], '\n')
		if i < 0 {
			end = len(rest)
			break
		}
		end += i + 1
	}
	hidden = rest[:end]
	if sort < 2 {
		suffix = rest[end:]
		hidden, suffix = strings.TrimSuffix(hidden, "\n"), "\n"+suffix
	}
	return text[:at], hidden, suffix
}

// complete returns the whole completion.
func complete(ctx context.Context, prefix, suffix string) (string, error) {
	c, err := predict.New(ctx, predict.Request{Prefix: prefix, Suffix: suffix})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		line, err := c.Line(ctx)
		if err != nil || line == nil {
			return b.String(), err
		}
		for _, t := range line {
			b.WriteString(t)
		}
	}
}

func (t *tally) add(hidden, got string) {
	t.cuts++
	t.hidden += utf8.RuneCountInString(hidden)
	if got == "" {
		t.silent++
		return
	}
	n := common(hidden, got)
	right, proposed := utf8.RuneCountInString(got[:n]), utf8.RuneCountInString(got)
	t.right, t.proposed = t.right+right, t.proposed+proposed
	if n == len(got) {
		t.exact++
	}
	if sensible(got, n) {
		t.accepted++
		t.useful += right
	}
}

// sensible reports whether a person would accept a completion whose first n bytes are right.
func sensible(got string, n int) bool {
	return n == len(got) || n >= line(got) && 2*n >= len(got)
}

// common returns the length of the longest common prefix, in whole runes.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return n
}

func (t *tally) print(w io.Writer) {
	saved := share(t.useful, t.hidden)
	bar := strings.Repeat("#", int(saved/5+0.5))
	fmt.Fprintf(w, "%-32s %5.1f%% %-7s %6.1f%% %9.1f%% %5.1f%% %8.1f%%\n", t.name, saved, bar,
		share(t.silent, t.cuts), share(t.right, t.proposed), share(t.exact, t.cuts-t.silent),
		share(t.accepted, t.cuts-t.silent))
}

func share(a, b int) float64 { return 100 * float64(a) / float64(max(b, 1)) }

// last returns the last n lines of s.
func last(s string, n int) string {
	lines := strings.SplitAfter(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
