package writers

import (
	"errors"
	"syscall"
)

// Try writes without blocking. It belongs to one goroutine, which reuses it, because the function that RawConn.Write
// takes would otherwise be allocated for each write.
type Try struct {
	call func(fd uintptr) bool
	buf  []byte
	n    int
	err  error
}

func newTry() *Try {
	y := new(Try)
	y.call = y.do
	return y
}

func (y *Try) do(fd uintptr) bool {
	for {
		if y.n, y.err = syscall.Write(int(fd), y.buf); y.err != syscall.EINTR {
			return true
		}
	}
}

// Write returns how many bytes of b the connection accepted at once, perhaps none. After an error the connection is
// broken. The connection's write deadline must not have passed.
func (y *Try) Write(raw syscall.RawConn, b []byte) (int, error) {
	y.buf = b
	err := raw.Write(y.call)
	y.buf = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(y.err, syscall.EAGAIN):
		return 0, nil
	case y.err != nil:
		return 0, y.err
	}
	return y.n, nil
}

// Raw returns the RawConn that Try writes to, or nil for a connection without non-blocking writes, such as one with
// TLS.
func Raw(c any) syscall.RawConn {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
