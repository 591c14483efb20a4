// Package proxies_test holds the server to what real proxies do to streams: each is started, as a hostile administrator has configured it, in
// front of the real binary. web/docs/proxies.md has the table that comes out.
package proxies_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain runs more tests at one time than there are processors: they wait more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// row is one proxy's line of the table.
type row struct {
	proxy   string
	results map[string]result
	header  bool // Last-Event-ID comes through
	ladder  ladderResult
}

// TestMatrix takes every rung through each proxy. It holds each proxy to the least that must work, and the document to the table that comes out.
func TestMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("real proxies are left out by -short: they are programs to install, and take half a minute")
	}
	checkPackages(t)
	o := startOrigin(t)
	o.client = bundleClient(t)
	rows := make([]row, len(hostile))
	t.Run("proxies", func(t *testing.T) {
		for i, p := range hostile {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = p.judge(t, o)
			})
		}
	})
	if t.Failed() {
		return // a table with holes tells nothing
	}
	t.Logf("\n%s\n%s", rungTable(rows), timeTable(rows))
}

// judge starts the proxy and takes every rung through it.
func (p *proxy) judge(t *testing.T, o *origin) row {
	r := startRelay(t, o.addr)
	addr := p.start(t, r.addr)
	direct, through := newCaller(t, o.addr, o.token), newCaller(t, addr, o.token)
	text := answers(t, direct, through)

	line := row{proxy: p.name}
	var err error
	if line.header, err = resumesByHeader(direct, through); err != nil {
		t.Errorf("Last-Event-ID: %v", err)
	}
	line.results = readAll(direct, through, func() {
		time.Sleep(p.quiet)
		if p.cut {
			r.cut()
		}
	})
	s := &nodeSettings{Base: through.base, Origin: direct.base, Token: o.token, Pieces: pieces, Quiet: p.quiet.Milliseconds()}
	if p.cut {
		s.Control = r.control
	}
	s.User = "ada-" + addr[strings.IndexByte(addr, ':')+1:] // a queue of its own
	s.Client, s.Question, s.Answer = o.client, question("", true), text
	sockets, err := useSockets(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(line.results, sockets)
	s.Token = o.tokenFor(t, s.User)
	if line.ladder, err = climb(t.Context(), o, s); err != nil {
		t.Fatal(err)
	}
	line.hold(t)
	holdLadder(t, &line.ladder)
	return line
}

// answers holds what needs no rung to the same text as without the proxy: a completion as one answer, and as a stream. It returns the text.
func answers(t *testing.T, direct, through *caller) string {
	t.Helper()
	name := strings.TrimPrefix(through.base, "http://") // ids of completions are for this proxy only
	want, err := wholeAnswer(direct, name+"-direct")
	if err != nil || want == "" {
		t.Fatalf("without the proxy: %q, %v", want, err)
	}
	if got, err := wholeAnswer(through, name+"-whole"); err != nil || got != want {
		t.Errorf("a completion in one answer: %q, %v; want %q", got, err, want)
	}
	if got, err := streamedAnswer(through, name+"-streamed"); err != nil || got != want {
		t.Errorf("a streamed completion: %q, %v; want %q", got, err, want)
	}
	return want
}

// hold fails where a proxy leaves no way: no rung may lose anything but by not working at all, and long-polls always work, live.
func (l *row) hold(t *testing.T) {
	t.Helper()
	for name, r := range l.results {
		t.Logf("%s: %v after %v %s", name, r, r.first.Round(time.Millisecond), r.why)
	}
	for _, name := range []string{"long-poll", "long-poll socket"} {
		if r := l.results[name]; !r.live || !r.works {
			t.Errorf("%s: %v: %s", name, r, r.why)
		}
	}
	for _, how := range restRungs {
		if r := l.results[how.name]; !r.works {
			t.Errorf("%s does not even arrive at last: %s", how.name, r.why)
		}
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

// rungTable says which rung works through which proxy.
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

// timeTable says how long the first piece took.
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
