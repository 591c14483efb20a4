package predict

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
)

func TestTrace(t *testing.T) {
	want := os.Getenv("TRACE")
	for _, tt := range golden {
		if want == "" || !strings.Contains(tt.name, want) {
			continue
		}
		c, _ := New(context.Background(), Request{Prefix: tt.prefix, Suffix: tt.suffix})
		rest := string(c.need) + tt.want
		fmt.Println("==", tt.name, "warm", c.warm)
		for rest != "" {
			tok := lex([]byte(rest))
			truth := rest[:tok.size]
			c.next(c.need)
			sort.Slice(c.groups, func(i, j int) bool { return c.groups[i].prob > c.groups[j].prob })
			fmt.Printf("%-14q", truth)
			for i, g := range c.groups {
				if i < 3 || g.text == truth {
					fmt.Printf("  %q %.2f (best %.1f x%d share %.2f)", g.text, g.prob, g.best, g.votes, g.f[gShare])
				}
			}
			fmt.Println()
			c.cur.add([]byte(rest))
			rest, c.need = rest[tok.size:], nil
		}
	}
}
