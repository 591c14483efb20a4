package writers

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// slowClient records its writes, and how many deadlines were set before each. It fails at failAt bytes.
type slowClient struct {
	bytes.Buffer
	deadlines, writes, largest int
	failAt                     int
}

var errGone = errors.New("gone")

func (c *slowClient) SetWriteDeadline(time.Time) error { c.deadlines++; return nil }

func (c *slowClient) Write(b []byte) (int, error) {
	c.writes++
	c.largest = max(c.largest, len(b))
	if c.failAt > 0 && c.Len()+len(b) > c.failAt {
		n, _ := c.Buffer.Write(b[:c.failAt-c.Len()])
		return n, errGone
	}
	return c.Buffer.Write(b)
}

// TestSteady: each piece of a long answer has a deadline of its own.
func TestSteady(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 10_000)
	c := &slowClient{}
	out := Steady(c, c, time.Minute)
	if c.deadlines != 1 {
		t.Error("what is written before has no deadline")
	}
	n, err := out.Write(long)
	if n != len(long) || err != nil || !bytes.Equal(c.Bytes(), long) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if c.largest > PieceBytes || c.deadlines != c.writes+1 {
		t.Errorf("%d deadlines for %d writes of at most %d bytes", c.deadlines, c.writes, c.largest)
	}
	broken := &slowClient{failAt: PieceBytes + 5}
	if n, err := Steady(broken, broken, time.Minute).Write(long); n != PieceBytes+5 || err != errGone {
		t.Errorf("%d bytes of a broken connection, %v", n, err)
	}
}
