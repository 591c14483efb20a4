package socket

import "testing"

func TestBurstEndsWhenQuiet(t *testing.T) {
	var r burst
	for i, c := range []struct {
		sockets int
		over    bool
	}{
		{0, false},
		{500, false},
		{500, false},
		{1500, false},
		{1600, false},
		{1600, true},
		{1600, false},
		{100, false},
		{1050, false},
		{1050, false},
		{1100, false},
		{1100, true},
	} {
		if over := r.isOver(c.sockets); over != c.over {
			t.Errorf("tick %d, %d sockets: %v", i, c.sockets, over)
		}
	}
}
