package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestReaderFindsFaults shows that a reader accepts the right events, split anywhere, and rejects wrong ones.
func TestReaderFindsFaults(t *testing.T) {
	event := func(n int) string {
		return fmt.Sprintf("event: tick\ndata: {\"payload\":{\"n\":%d}}\nid: e.%d\n\n", n, n)
	}
	token := func(from, n int) string {
		var text []byte
		for i := range n {
			text = appendToken(text, uint64(from+i))
		}
		return fmt.Sprintf("event: chunk\ndata: {\"text\":\"%s\",\"at\":0}\n\n", text)
	}
	hello := "event: hello\ndata: {}\nretry: 1000\n\n:123\n"
	for name, c := range map[string]struct {
		parse func([]byte, uint64) (uint64, error)
		body  string
		got   uint64 // 0: rejected
	}{
		"events":        {parseEvent, hello + event(1) + event(2), 2},
		"event lost":    {parseEvent, event(1) + event(3), 0},
		"event twice":   {parseEvent, event(1) + event(1), 0},
		"reset":         {parseEvent, event(1) + "event: reset\ndata: {}\n\n", 0},
		"tokens":        {parseTokens, hello + token(1, 1) + token(2, 3), 4},
		"token lost":    {parseTokens, token(1, 1) + token(3, 1), 0},
		"token twice":   {parseTokens, token(1, 2) + token(2, 1), 0},
		"half a token":  {parseTokens, strings.Replace(token(1, 1), "001", "01", 1), 0},
		"bye":           {parseTokens, "event: bye\ndata: {}\n\n", 0},
		"nothing comes": {parseEvent, hello, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{feed: &feed{parse: c.parse}, latency: &histogram{}}
			var err error
			for rest := []byte(c.body); len(rest) > 0 && err == nil; {
				n := 1 + rand.IntN(len(rest))
				err = r.take(append([]byte(nil), rest[:n]...))
				rest = rest[n:]
			}
			if ok := err == nil && name != "nothing comes"; ok != (c.got > 0) || ok && r.got.Load() != c.got {
				t.Errorf("%d events, %v", r.got.Load(), err)
			}
		})
	}
}

func TestDechunk(t *testing.T) {
	const coded = "5\r\nhello\r\n1;ext=1\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n"
	for range 100 {
		var d dechunker
		var got []byte
		var done bool
		for rest := []byte(coded); len(rest) > 0; {
			n := 1 + rand.IntN(len(rest))
			body, end, err := d.strip(append([]byte(nil), rest[:n]...))
			if err != nil {
				t.Fatal(err)
			}
			got, done, rest = append(got, body...), done || end, rest[n:]
		}
		if string(got) != "hello 0123456789" || !done {
			t.Fatalf("%q, ended: %v", got, done)
		}
	}
	if _, _, err := (&dechunker{}).strip([]byte("nonsense\r\n")); err == nil {
		t.Error("nonsense is taken for a size")
	}
}

func TestHistogram(t *testing.T) {
	for v := range uint64(1 << 16) {
		if low := valueOf(bucketOf(v)); low > v || v-low > v/16 {
			t.Fatalf("%d is counted as %d", v, low)
		}
	}
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	l := h.latency()
	if l.P50 < 450 || l.P50 > 500 || l.P99 < 900 || l.P99 > 990 || l.Max != 1000 {
		t.Errorf("%+v", l)
	}
}
