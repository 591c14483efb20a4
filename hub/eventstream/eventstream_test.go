package eventstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// read returns all events of a stream as "type|data|id", and its final error.
func read(src io.Reader, limit int) (events []string, retry time.Duration, err error) {
	r := eventstream.NewReader(src, limit)
	for {
		e, err := r.Next()
		if err != nil {
			return events, r.Retry(), err
		}
		events = append(events, fmt.Sprintf("%s|%s|%s", e.Type, e.Data, e.ID))
	}
}

// The format-* tests in the eventsource folder of web-platform-tests: the server's bytes, and the expected events.
var vectors = []struct {
	name, stream string
	want         []string
	retry        time.Duration
}{
	{name: "bom", stream: "\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n\n", want: []string{"|1|", "|3|"}},
	{name: "bom-2", stream: "\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n\n", want: []string{"|2|", "|3|"}},
	{
		name: "comments",
		stream: "data:1\r:\x00\n:\r\ndata:2\n:" + strings.Repeat("x",
			2048) + "\rdata:3\n:data:fail\r:" + strings.Repeat("x", 2048) + "\ndata:4\n\n",
		want: []string{"|1\n2\n3\n4|"},
	},
	{
		name: "data-before-final-empty-line", stream: "retry:1000\ndata:test1\n\nid:test\ndata:test2\n",
		want: []string{"|test1|"}, retry: time.Second,
	},
	{name: "field-data", stream: "data:\n\ndata\ndata\n\ndata:test\n\n\n", want: []string{"||", "|\n|", "|test|"}},
	{name: "field-event", stream: "event:test\ndata:x\n\ndata:x\n\n\n", want: []string{"test|x|", "|x|"}},
	{name: "field-event-empty", stream: "event: \ndata:data\n\n\n", want: []string{"|data|"}},
	{name: "field-id", stream: "id:…\ndata:hello\n\ndata:again\n\n", want: []string{"|hello|…", "|again|…"}},
	{name: "field-id empty resets", stream: "id:1\ndata:a\n\nid\ndata:b\n\n", want: []string{"|a|1", "|b|"}},
	{name: "field-id without data", stream: "id:1\n\ndata:b\n\n", want: []string{"|b|1"}},
	{name: "field-id-null", stream: "id:\x00\x00\ndata:hello\n\n", want: []string{"|hello|"}},
	{
		name: "field-parsing",
		stream: "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n " +
			"data:32\ndata:4\n\n",
		want: []string{"|\x00\n 2\n1\n3\n\n4|"},
	},
	{name: "field-retry", stream: "retry:02000\ndata:x\n\n\n", want: []string{"|x|"}, retry: 2 * time.Second},
	{
		name: "field-retry-bogus", stream: "retry:2000\nretry:1000x\ndata:x\n\n\n", want: []string{"|x|"},
		retry: 2 * time.Second,
	},
	{
		name: "field-retry-empty", stream: "retry:3000\nretry\ndata:test\n\n", want: []string{"|test|"},
		retry: 3 * time.Second,
	},
	{
		name:   "field-unknown",
		stream: "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n\n",
		want:   []string{"|test\n\ntest|"},
	},
	{name: "leading-space", stream: "data:\ttest\rdata: \ndata:test\n\n\n", want: []string{"|\ttest\n\ntest|"}},
	{name: "newlines", stream: "data:test\r\ndata\ndata:test\r\n\r\n", want: []string{"|test\n\ntest|"}},
	{name: "null-character", stream: "data:\x00\n\n\n\n", want: []string{"|\x00|"}},
	{name: "utf-8", stream: "data:ok…\n\n\n", want: []string{"|ok…|"}},
	// Further cases:
	{name: "empty", stream: ""},
	{name: "event without data", stream: "event:ping\n\ndata:x\n\n", want: []string{"|x|"}},
	{name: "CR CR", stream: "data:a\r\rdata:b\r\r", want: []string{"|a|", "|b|"}},
	{name: "CRLF CRLF", stream: "data:a\r\n\r\ndata:b\r\n\r\n", want: []string{"|a|", "|b|"}},
	{name: "LF CR", stream: "data:a\n\rdata:b\n\r", want: []string{"|a|", "|b|"}},
	{name: "retry beyond sense", stream: "retry:99999999999999999999999\n\n", retry: 365 * 24 * time.Hour},
	{name: "invalid UTF-8 is handed on", stream: "data:\xff\n\n", want: []string{"|\xff|"}},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			for name, src := range map[string]io.Reader{
				"whole": strings.NewReader(v.stream), "bytes": iotest.OneByteReader(strings.NewReader(v.stream)),
				"with EOF": iotest.DataErrReader(strings.NewReader(v.stream)),
			} {
				got, retry, err := read(src, 0)
				if strings.Join(got, "\x01") != strings.Join(v.want, "\x01") || len(got) != len(v.want) ||
					retry != v.retry {
					t.Errorf("%s: %q, retry %v; want %q, retry %v", name, got, retry, v.want, v.retry)
				}
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestEndings(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name   string
		src    io.Reader
		events int
		want   error
	}{
		{"after an event", strings.NewReader("data:a\n\n"), 1, io.EOF},
		{"after a comment", strings.NewReader("data:a\n\n:hb\n"), 1, io.EOF},
		{"before the empty line", strings.NewReader("data:a\n"), 0, io.ErrUnexpectedEOF},
		{"within a line", strings.NewReader("data:a\n\nda"), 1, io.ErrUnexpectedEOF},
		{"source fails", io.MultiReader(strings.NewReader("data:a\n\ndata:b"), iotest.ErrReader(broken)), 1, broken},
	} {
		got, _, err := read(c.src, 0)
		if len(got) != c.events || !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v; want %d events, %v", c.name, got, err, c.events, c.want)
		}
	}
}

func TestErrorStays(t *testing.T) {
	r := eventstream.NewReader(strings.NewReader("data:"+strings.Repeat("x", 200)+"\n\ndata:y\n\n"), 100)
	for range 3 {
		var long *eventstream.TooLongError
		if _, err := r.Next(); !errors.As(err, &long) || long.Limit != 100 {
			t.Fatalf("error %v", err)
		}
	}
}

func TestLimit(t *testing.T) {
	for name, stream := range map[string]string{
		"line":                "data:" + strings.Repeat("x", 1<<20),
		"comment":             ":" + strings.Repeat("x", 1<<20),
		"lines":               strings.Repeat("data:xxxxxxxx\n", 1<<17),
		"line without an end": strings.Repeat("x", 1<<20),
	} {
		if got, _, err := read(strings.NewReader(stream), 100_000); len(got) != 0 ||
			!errors.As(err, new(*eventstream.TooLongError)) {
			t.Errorf("%s: %d events, %v", name, len(got), err)
		}
	}
	stream := strings.Repeat("data:"+strings.Repeat("x", 80_000)+"\n\n", 5) + strings.Repeat(":comment\n", 50_000)
	if got, _, err := read(strings.NewReader(stream), 100_000); len(got) != 5 || err != io.EOF {
		t.Errorf("below the limit: %d events, %v", len(got), err)
	}
}

// TestEventComesAtOnce checks that an event is returned without a byte after its empty line, also with CR line ends.
func TestEventComesAtOnce(t *testing.T) {
	for _, stream := range []string{"data:a\n\n", "data:a\r\n\r", "data:a\r\r"} {
		pr, pw := io.Pipe()
		got := make(chan string, 1)
		go func() {
			e, err := eventstream.NewReader(pr, 0).Next()
			got <- fmt.Sprintf("%s %v", e.Data, err)
		}()
		if _, err := pw.Write([]byte(stream)); err != nil {
			t.Fatal(err)
		}
		if s := hubtest.Recv(t, fmt.Sprintf("the event of %q, which waits for more", stream), got); s != "a <nil>" {
			t.Errorf("%q: %s", stream, s)
		}
		_ = pw.Close()
	}
}

func BenchmarkReader(b *testing.B) {
	for _, size := range []int{200, 1 << 20} {
		stream := bytes.Repeat([]byte("data: "+strings.Repeat("x", size)+"\n\n"), max(1, 1<<20/size))
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				r := eventstream.NewReader(bytes.NewReader(stream), 0)
				for {
					if _, err := r.Next(); err != nil {
						break
					}
				}
			}
		})
	}
}
