package lint

import (
	"bytes"
	"strings"
	"sync"

	"github.com/duckwire/duckwire/hub"
)

// Limits of a linter's output.
const (
	maxJobIssues = 10_000
	maxUpdate    = 50 // issues in one entry
	maxSARIF     = 64 << 20
	maxLint      = 64 << 10 // of one line
	maxTail      = 20       // last lines, for the message of a failure
)

// Output parses what a linter prints to stdout and stderr. Safe for concurrent use.
type Output struct {
	folder *Folder
	format string // auto, lines, sarif
	kind   string // of issues without a type

	mu        sync.Mutex
	found     []hub.Issue // since the last Take
	Counts    map[string]int
	Summary   hub.AnalysisSummary
	Unparsed  int // lines that do not name a place in one of the files
	Omitted   int // issues beyond maxJobIssues
	tail      []string
	sarif     bytes.Buffer
	isSARIF   bool
	ReadSARIF bool // a whole SARIF log was read
}

func NewOutput(folder *Folder, format, kind string) *Output {
	return &Output{folder: folder, format: format, kind: kind, Counts: make(map[string]int), isSARIF: format == "sarif"}
}

// outputPipe is one of a linter's two outputs, an io.Writer for exec.Cmd.
type outputPipe struct {
	out    *Output
	main   bool // stdout, where SARIF is expected
	begun  bool
	unread []byte // the beginning of a line whose end has not arrived
}

func (p *outputPipe) Write(b []byte) (int, error) {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if p.main && !p.begun {
		text := bytes.TrimLeft(b, " \t\r\n\ufeff")
		p.begun = len(text) > 0
		p.out.isSARIF = p.out.isSARIF || p.out.format == "auto" && len(text) > 0 && text[0] == '{'
	}
	if p.main && p.out.isSARIF {
		if p.out.sarif.Len() < maxSARIF {
			p.out.sarif.Write(b)
		}
		return len(b), nil
	}
	p.unread = append(p.unread, b...)
	for {
		line, rest, ok := bytes.Cut(p.unread, []byte("\n"))
		if !ok {
			break
		}
		p.out.line(string(line[:min(len(line), maxLint)]))
		p.unread = rest
	}
	if len(p.unread) > maxLint { // only the beginning of a long line is read
		p.unread = p.unread[:maxLint]
	}
	return len(b), nil
}

// finish parses the rest after the output's end.
func (p *outputPipe) finish() {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if len(p.unread) > 0 {
		p.out.line(string(p.unread))
	}
	if !p.main || !p.out.isSARIF || p.out.sarif.Len() == 0 {
		return
	}
	issues, err := ReadSARIF(p.out.sarif.Bytes())
	if err == nil {
		p.out.ReadSARIF = true
		for _, i := range issues {
			p.out.add(i)
		}
		return
	}
	if p.out.format == "sarif" {
		p.out.addTail("SARIF: " + err.Error())
		return
	}
	for line := range strings.Lines(p.out.sarif.String()) { // it only looked like SARIF: parse it as lines
		p.out.line(strings.TrimRight(line, "\n"))
	}
}

// line parses one line. o.mu is locked.
func (o *Output) line(line string) {
	if o.format != "sarif" {
		if issue, ok := ParseLine(line); ok {
			if _, ours := o.folder.own(issue.File); ours {
				o.add(issue)
				return
			}
		}
	}
	if line = strings.TrimSpace(line); line != "" {
		o.Unparsed++
		o.addTail(line)
	}
}

// addTail stores a line for Last.
func (o *Output) addTail(line string) {
	if len(o.tail) == maxTail {
		o.tail = o.tail[1:]
	}
	o.tail = append(o.tail, line[:min(len(line), 500)])
}

// add adds an issue. o.mu is locked.
func (o *Output) add(i hub.Issue) {
	if o.Summary.Total >= maxJobIssues {
		o.Omitted++
		return
	}
	i.File, _ = o.folder.own(i.File) // "" for none of the job's: the issue is about all files
	i.Message = o.folder.hide(i.Message)
	i = i.Normal(o.kind)
	o.Counts[i.File]++
	o.Summary.Count(&i)
	o.found = append(o.found, i)
}

// Take returns the issues found since the last time, at most maxUpdate of them.
func (o *Output) Take() []hub.Issue {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.found), maxUpdate)
	found := o.found[:n:n]
	o.found = o.found[n:]
	return found
}

// Understood reports whether any of the tool's output could be parsed.
func (o *Output) Understood() bool { return o.Summary.Total > 0 || o.ReadSARIF }

// Last returns the last lines that could not be parsed, for an error message.
func (o *Output) Last() string {
	text := strings.ToValidUTF8(o.folder.hide(strings.Join(o.tail, "\n")), "\uFFFD")
	if text == "" {
		return "it printed nothing"
	}
	return text
}
