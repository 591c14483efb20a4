package eventstream_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naive is the standard's algorithm on a complete stream, without regard to cost.
func naive(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	var typ, data, id string
	lines := strings.Split(stream, "\n")
	for _, line := range lines[:len(lines)-1] { // the last one is incomplete
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != "":
			events = append(events, fmt.Sprintf("%s|%s|%s", typ, strings.TrimSuffix(data, "\n"), id))
			typ, data = "", ""
		case line == "":
			typ = ""
		case name == "event":
			typ = value
		case name == "data":
			data += value + "\n"
		case name == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return events
}

// shreds reads a string in random pieces.
type shreds struct {
	rest string
	rng  *rand.Rand
}

func (s *shreds) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+s.rng.IntN(9))], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// FuzzReader compares the reader with the naive parser, however the stream is cut into pieces.
func FuzzReader(f *testing.F) {
	for i, v := range vectors {
		f.Add(v.stream, uint64(i))
	}
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		want := naive(stream)
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(stream), "shreds": &shreds{stream, rand.New(rand.NewPCG(seed, 0))},
		} {
			got, _, err := read(src, 0)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %q, want %q", name, got, want)
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}
