package bench

import (
	"bytes"
	"testing"
	"time"
)

// FuzzCutFrame: of any input, a whole frame is split off, or nothing.
func FuzzCutFrame(f *testing.F) {
	for _, seed := range [][]byte{
		nil,
		{0x81},
		{0x81, 0},
		{0x81, 3, 'a', 'b', 'c', 0x81},
		{0x81, 126, 0, 4, 'a'},
		{0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, rest, ok := cutFrame(b)
		if !ok {
			if !bytes.Equal(rest, b) {
				t.Error("what is no whole frame was cut")
			}
			return
		}
		if head := len(b) - len(payload) - len(rest); head != 2 && head != 4 && head != 10 {
			t.Errorf("%d bytes of header", head)
		}
		if !bytes.HasSuffix(b, append(append([]byte{}, payload...), rest...)) {
			t.Error("payload and rest are not the frame's")
		}
	})
}

func TestFramePosition(t *testing.T) {
	for frame, want := range map[string]string{
		`[null,"e-1.7","lobby","tick",{"n":7}]`:    "e-1.7",
		`[null,null,"lobby","tick",{"n":7}]`:       "",
		`["1","1","lobby","phx_reply",{"n":7}]`:    "",
		`[null,"e-1.7`:                             "",
		`{"topic":"lobby","event":"x","ref":null}`: "",
	} {
		if got := framePosition([]byte(frame)); got != want {
			t.Errorf("%s: %q", frame, got)
		}
	}
}

func TestBarsDoubleAndHoldEverything(t *testing.T) {
	var h histogram
	for _, ms := range []int{0, 1, 1, 3, 9, 100} {
		h.add(time.Duration(ms) * time.Millisecond)
	}
	var total uint64
	last := -1.0
	for _, bar := range h.bars() {
		if bar.From <= last {
			t.Errorf("%v after %v", bar.From, last)
		}
		last, total = bar.From, total+bar.Count
	}
	if total != 6 || last < 50 || last > 100 {
		t.Errorf("%d in all, the last from %v ms", total, last)
	}
}
