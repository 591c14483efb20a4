package socket

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/duckwire/duckwire/handlers/writers"
)

// flushFunc is a writers.Job.
type flushFunc func(y *writers.Try)

func (f flushFunc) Flush(y *writers.Try) { f(y) }

// TestControlStaysOutsideOfFrames: a pong and a close frame that become due during a partial write of a data frame are
// sent after the whole frame.
func TestControlStaysOutsideOfFrames(t *testing.T) {
	here, there := tcpPair(t)
	c := newConn(here, time.Minute)
	frame := bytes.Repeat([]byte("x"), 16<<20) // more than a connection's buffers hold
	var rest []byte
	var how writeResult
	var err error
	var pool writers.Pool
	pool.Add(flushFunc(func(y *writers.Try) { rest, how, err = c.try(y, frame) }))
	pool.Wait()
	if how != partlyWritten || err != nil || len(rest) == 0 || len(rest) == len(frame) {
		t.Fatalf("%d of %d bytes are left, %v, %v", len(rest), len(frame), how, err)
	}
	const pong, bye = "\x8a\x01p", "\x88\x02\x03\xe8"
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(there)
		got <- b
	}()
	for _, control := range []string{"\x8a\x01o", pong, bye} { // only the newest pong
		if n, err := c.Write([]byte(control)); n != len(control) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := c.finish(rest); err != nil {
		t.Fatal(err)
	}
	if err := c.send([]byte("after the close")); err != nil {
		t.Fatal(err)
	}
	here.Close()
	if b, want := <-got, fmt.Sprintf("%s%s%s", frame, pong, bye); string(b) != want {
		at := 0
		for at < min(len(b), len(want)) && b[at] == want[at] {
			at++
		}
		t.Errorf("%d bytes, want %d; they differ at %d", len(b), len(want), at)
	}
}

func tcpPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err = net.Dial("tcp", l.Addr().String())
	if err == nil {
		here, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}
