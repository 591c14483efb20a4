package local

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/internal/stops"
	"github.com/duckwire/duckwire/hub/provider/local/internal/fim"
	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// task is a parsed request.
type task struct {
	request predict.Request
	style   style
	nothing string // the answer if nothing is predicted
	form    bool   // a prompt of a plugin: the answer may not contain its marks
	lang    string // fenced: the language after the fence
	line    string // fenced: the last line of the code
	ended   bool   // a newline follows, which may belong to the fence
}

// style is how an answer is written.
type style int

const (
	bare   style = iota // the code to insert at the cursor
	fenced              // a fenced block that begins with the line of the cursor
	prose               // no code: only the sentence
)

// readTask finds the text around the cursor in a request. text is the prompt of a text completion.
func readTask(req *hub.CompletionRequest, text string) task {
	if req.Kind == hub.ChatCompletion {
		return readChat(req)
	}
	t := task{request: predict.Request{Prefix: valid(text), Suffix: valid(req.Suffix)}}
	if req.HasSuffix && req.Suffix != "" {
		return t
	}
	if p, ok := fim.Parse(t.request.Prefix); ok {
		t.insert(p)
		if strings.TrimSpace(p.Before) != "" {
			t.request.Prefix = p.Before + "\n" + p.Prefix
		}
	}
	return t
}

// insert makes the task that of a plugin's prompt.
func (t *task) insert(p fim.Prompt) {
	t.form, t.nothing = true, p.Nothing
	t.request.Prefix, t.request.Suffix, t.request.Extra = p.Prefix, p.Suffix, p.Files
}

// open starts the completion, and returns its first line. The last line of fenced code may or may not be complete: if
// it cannot be continued, the completion begins on a new line.
func (t *task) open(ctx context.Context) (*predict.Completion, []string, error) {
	c, err := predict.New(ctx, t.request)
	if err != nil {
		return nil, nil, err
	}
	line, err := c.Line(ctx)
	if err != nil || !t.ended || len(line) > 0 && !strings.HasPrefix(line[0], "\n") {
		return c, line, err
	}
	t.request.Prefix, t.line, t.ended = t.request.Prefix+"\n", "", false
	return t.open(ctx)
}

// answer writes the whole answer. It returns nil for a regular end.
func (t *task) answer(ctx context.Context, c *predict.Completion, first []string, out *writer) error {
	err := t.write(ctx, c, first, out)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func (t *task) write(ctx context.Context, c *predict.Completion, first []string, out *writer) error {
	if len(first) == 0 || t.style == prose {
		return sentence(t.nothing, out)
	}
	if t.style == fenced {
		return t.writeFenced(ctx, c, first, out)
	}
	return lines(ctx, c, first, out.token)
}

// lines passes every token of a completion to say, line by line as each is predicted, beginning with the given line.
func lines(ctx context.Context, c *predict.Completion, line []string, say func(string) error) (err error) {
	for line != nil && err == nil {
		for _, tok := range line {
			if err := say(tok); err != nil {
				return err
			}
		}
		line, err = c.Line(ctx)
	}
	return err
}

// The texts that may not be part of an answer: of any, and of one to a plugin's prompt.
var (
	marks     = stops.New(fim.Markers())
	formMarks = sync.OnceValue(func() stops.Set { return stops.New(fim.Markers(), fim.ChatMarks()) })
)

// stops returns what ends the answer, the client's own stop strings included.
func (t *task) stops(own []string) stops.Set {
	ours := marks
	if t.form {
		ours = formMarks()
	}
	if len(own) == 0 {
		return ours
	}
	return stops.New(own, ours)
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
