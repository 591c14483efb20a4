package local

import (
	"context"
	"errors"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// task is a parsed request.
type task struct {
	request predict.Request
	chat    bool
	code    bool   // chat: there is code to continue
	lang    string // chat: the language after the fence
	line    string // chat: the last line of the code
	ended   bool   // a newline follows, which may belong to the fence
}

// readTask finds the text around the cursor in a request.
func readTask(req *hub.CompletionRequest) task {
	if req.Kind == hub.ChatCompletion {
		return readChat(req.Messages)
	}
	t := task{request: predict.Request{Prefix: valid(req.Prompt), Suffix: valid(req.Suffix)}}
	if !req.HasSuffix || req.Suffix == "" {
		if prefix, suffix, ok := splitFIM(t.request.Prefix); ok {
			t.request.Prefix, t.request.Suffix = prefix, suffix
		}
	}
	return t
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
	if t.chat {
		return t.writeChat(ctx, c, first, out)
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

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
