package local

import (
	"context"
	"errors"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// task is what a request asks for.
type task struct {
	request predict.Request
	chat    bool
	code    bool   // chat: there is code to continue
	lang    string // chat: the language after the fence
	line    string // chat: the unfinished last line of the code
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

// answer writes the whole answer. Nil means that it ended as it should.
func (t *task) answer(ctx context.Context, c *predict.Completion, out *writer) error {
	err := t.write(ctx, c, out)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (t *task) write(ctx context.Context, c *predict.Completion, out *writer) error {
	if t.chat {
		return t.writeChat(ctx, c, out)
	}
	_, err := lines(ctx, c, out.token)
	return err
}

// lines hands every token of a completion to say, each line once it is known. It returns how many there were.
func lines(ctx context.Context, c *predict.Completion, say func(string) error) (int, error) {
	count := 0
	for {
		line, err := c.Line(ctx)
		if err != nil || line == nil {
			return count, err
		}
		for _, tok := range line {
			if err := say(tok); err != nil {
				return count, err
			}
			count++
		}
	}
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
