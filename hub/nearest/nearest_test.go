package nearest

import "testing"

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"addr", "addr", 0},
		{"adr", "addr", 1},
		{"addrs", "addr", 1},
		{"adrd", "addr", 1},
		{"xyz", "addr", 4},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
