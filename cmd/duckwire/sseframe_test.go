package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestWholeBlocks(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100<<10)
	for name, c := range map[string]struct {
		in, want string
		err      error
	}{
		"empty":            {"", "", nil},
		"block":            {"data: a\n\n", "data: a\n\n", nil},
		"two":              {"data: a\n\ndata: b\nid: 1\n\n", "data: a\n\ndata: b\nid: 1\n\n", nil},
		"cut in a line":    {"data: a\n\ndata: b", "data: a\n\n", nil},
		"cut before id":    {"data: a\n\ndata: b\n", "data: a\n\n", nil},
		"cut in id":        {"data: a\n\ndata: b\nid: e.1", "data: a\n\n", nil},
		"cut after id":     {"data: a\n\ndata: b\nid: e.1\n", "data: a\n\n", nil},
		"heartbeats":       {":1\n:2\ndata: a\n:3\n\n:4\n", "data: a\n\n", nil},
		"empty lines":      {"\n\n\ndata: a\n\n\n", "data: a\n\n", nil},
		"CRLF":             {"data: a\r\n\r\ndata: b\r\n\r\n", "data: a\n\ndata: b\n\n", nil},
		"byte order mark":  {"\xef\xbb\xbfdata: a\n\n", "data: a\n\n", nil},
		"longer than most": {"data: " + long + "\n\n", "data: " + long + "\n\n", nil},
		"too long line":    {"data: a\n\ndata: " + strings.Repeat(long, 2), "data: a\n\n", bufio.ErrTooLong},
		"too long block":   {strings.Repeat("data: "+long[:1000]+"\n", 200), "", bufio.ErrTooLong},
	} {
		for kind, reader := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "data with error": iotest.DataErrReader} {
			got, err := io.ReadAll(newWholeBlocks(reader(strings.NewReader(c.in)), 128<<10))
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %d bytes %.40q, %v", name, kind, len(got), got, err)
			}
		}
	}
}

// FuzzWholeBlocks checks that only whole blocks come out, and that a second pass changes nothing.
func FuzzWholeBlocks(f *testing.F) {
	for _, seed := range []string{"", "data: a\n\n", "event: x\ndata: {}\nid: e.1\n\n:1\ndata", "\r\n\r\n", "\xef\xbb\xbf:\n\n", "a\r\r\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := io.ReadAll(newWholeBlocks(strings.NewReader(string(in)), 1<<20))
		if err != nil {
			t.Skip() // too long
		}
		if len(once) > 0 && !strings.HasSuffix(string(once), "\n\n") {
			t.Fatalf("half a block: %q", once)
		}
		for _, b := range strings.SplitAfter(string(once), "\n\n") {
			if strings.HasPrefix(b, ":") || strings.Contains(b, "\n:") || b == "\n\n" {
				t.Fatalf("a comment or an empty block: %q", b)
			}
		}
		if len(once) > len(in) {
			t.Fatalf("more came out than went in: %q", once)
		}
	})
}
