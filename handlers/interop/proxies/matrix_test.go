// Package proxies_test tests what real proxies do to streams. Each proxy is started in front of the real binary, with a
// configuration that is hostile to streams. web/docs/proxies.md has the resulting table.
package proxies_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestMain runs more tests in parallel than there are processors, because they wait more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "16")
	code := m.Run()
	os.RemoveAll(buildFolder)
	os.Exit(code)
}

// row is the row of one proxy in the table.
type row struct {
	proxy   string
	results map[string]result
	header  bool // Last-Event-ID comes through
	ladder  ladderResult
	faults  []string // what is wrong
}

func (l *row) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

var update = flag.Bool("update", false, "write the tables into web/docs/proxies.md")

// TestMatrix tries every rung through each proxy. It checks that the minimum works through each proxy, and that
// web/docs/proxies.md has the resulting table.
func TestMatrix(t *testing.T) {
	t.Parallel()
	o := prepare(t)
	doc := readDocument(t)
	rows := make([]row, len(hostile))
	t.Run("proxies", func(t *testing.T) {
		for i, p := range hostile {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = p.judge(t, o, doc.expects(p.name), func(l *row) {
					l.hold()
					if cells := rungTable([]row{*l}); !*update && !doc.has(lastLine(cells)) {
						l.fault("web/docs/proxies.md has no such line (make matrix writes it):\n%s", cells)
					}
				})
			})
		}
	})
	if t.Failed() {
		return // an incomplete table is of no use
	}
	t.Logf("\n%s\n%s", rungTable(rows), timeTable(rows))
	if *update {
		doc.write(t, map[string]string{"rungs": rungTable(rows), "times": timeTable(rows)})
	} else if got := doc.part(t, "rungs"); got != rungTable(rows) {
		t.Errorf("web/docs/proxies.md (make matrix writes it) says\n%s", got)
	}
}

// prepare starts what all proxies use together.
func prepare(t *testing.T) *origin {
	t.Helper()
	hubtest.Full(t, "proxies, Node.js and npm packages")
	checkPackages(t)
	o := startOrigin(t)
	o.client = bundleClient(t)
	return o
}

// judge starts the proxy, tries every rung through it, and passes the row to check. If that finds faults, it repeats
// this once: the proxies have limits of a few seconds, and on a busy machine a pause of that length cuts connections
// that are not cut otherwise.
func (p *proxy) judge(t *testing.T, o *origin, expects expected, check func(*row)) row {
	var l row
	for range 2 {
		l = p.measure(t, o, expects)
		if check(&l); len(l.faults) == 0 {
			break
		}
		t.Logf("%s", strings.Join(l.faults, "\n"))
	}
	if len(l.faults) > 0 {
		t.Fail()
	}
	return l
}

func (p *proxy) measure(t *testing.T, o *origin, expects expected) row {
	r := startRelay(t, o.addr)
	addr := p.start(t, r.addr)
	direct, through := newCaller(t, o.addr, o.token), newCaller(t, addr, o.token)
	l := row{proxy: p.name}
	text := l.compareAnswers(t, direct, through)
	var err error
	if l.header, err = resumesByHeader(direct, through); err != nil {
		l.fault("Last-Event-ID: %v", err)
	}
	l.results = readAll(direct, through, expects, func() {
		time.Sleep(p.quiet) // longer than the proxy's limit
		if p.cut {
			r.cut()
		}
	})
	s := &nodeSettings{
		Base: through.base, Origin: direct.base, Token: o.token, Pieces: pieces, Quiet: p.quiet.Milliseconds(),
		Patience: map[string]int64{},
	}
	for _, name := range append([]string{"websocket", "sse", "padded", "longpoll"}, socketRungs...) {
		s.Patience[name] = expects(name).Milliseconds()
	}
	if p.cut {
		s.Control = r.control
	}
	sockets, err := useSockets(t.Context(), o, s)
	if err != nil {
		l.fault("%v", err)
	}
	maps.Copy(l.results, sockets)
	s.User = "ada-" + addr[strings.IndexByte(addr, ':')+1:] // a queue of its own
	s.Token, s.Client, s.Question, s.Answer = o.tokenFor(t, s.User), o.client, question("", true), text
	if l.ladder, err = climb(t.Context(), o, s); err != nil {
		l.fault("%v", err)
	}
	return l
}

// compareAnswers checks that a completion has the same text through the proxy as without it, both as one answer and as
// a stream. It returns the text.
func (l *row) compareAnswers(t *testing.T, direct, through *caller) string {
	t.Helper()
	name := strings.TrimPrefix(through.base, "http://") // so that each proxy has its own completions
	want, err := wholeAnswer(direct, name+"-direct")
	if err != nil || want == "" {
		t.Fatalf("without the proxy: %q, %v", want, err)
	}
	if got, err := wholeAnswer(through, name+"-whole"); err != nil || got != want {
		l.fault("a completion in one answer: %q, %v; want %q", got, err, want)
	}
	if got, err := streamedAnswer(through, name+"-streamed"); err != nil || got != want {
		l.fault("a streamed completion: %q, %v; want %q", got, err, want)
	}
	return want
}

// hold notes a fault where a proxy leaves no way: each way to read a stream must bring all of it, and long-polls and
// our client must be live.
func (l *row) hold() {
	for _, name := range []string{"long-poll", "long-poll socket"} {
		if r := l.results[name]; !r.live || !r.works {
			l.fault("%s: %v: %s", name, r, r.why)
		}
	}
	for _, how := range restRungs {
		if r := l.results[how.name]; !r.works {
			l.fault("%s does not even arrive at last: %s", how.name, r.why)
		}
	}
	if c := &l.ladder; !c.Works || !c.Live {
		l.fault("our client is at %q, and live is %t: %s", c.Rung, c.Live, c.Why)
	}
}

// columns are the rungs of the table, the best first.
func columns() []string {
	names := append([]string(nil), socketRungs...)
	for _, how := range restRungs {
		names = append(names, how.name)
	}
	return names
}

// rungTable returns the table of the rungs that work through each proxy.
func rungTable(rows []row) string {
	const client, header = "our client", "`Last-Event-ID`"
	return table(rows, append(append([]string{client}, columns()...), header), func(l *row, name string) string {
		switch name {
		case client:
			return l.ladder.String()
		case header:
			return map[bool]string{true: "arrives", false: "stripped"}[l.header]
		}
		r := l.results[name]
		return r.String()
	})
}

// timeTable returns the table of the times until the first piece.
func timeTable(rows []row) string {
	const reached, first = "our client: joined", "our client: first piece"
	return table(rows, append([]string{reached, first}, columns()...), func(l *row, name string) string {
		switch name {
		case reached:
			return fmt.Sprintf("%.1f s", l.ladder.Reached/1000)
		case first:
			return fmt.Sprintf("%.0f ms", l.ladder.First)
		}
		r := l.results[name]
		if !r.works || !r.live {
			return r.String()
		}
		return fmt.Sprintf("%d ms", r.first.Milliseconds())
	})
}

func table(rows []row, names []string, cell func(l *row, name string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| proxy | %s |\n|%s\n", strings.Join(names, " | "), strings.Repeat(" --- |", len(names)+1))
	for i := range rows {
		fmt.Fprintf(&b, "| %s |", rows[i].proxy)
		for _, name := range names {
			fmt.Fprintf(&b, " %s |", cell(&rows[i], name))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
