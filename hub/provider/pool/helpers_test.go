package pool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type completeFunc func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error

// fake is an upstream of functions. What a test does not set must not be called.
type fake struct {
	complete completeFunc
	models   func() ([]hub.Model, error)
	analyze  func(w hub.AnalysisWriter) error
	forward  func() (*hub.ForwardResponse, error)
	closed   error
}

func (f *fake) Complete(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
	return f.complete(ctx, req, w)
}
func (f *fake) Models(context.Context) ([]hub.Model, error) { return f.models() }

func (f *fake) Analyze(_ context.Context, _ *hub.AnalysisRequest, w hub.AnalysisWriter) error {
	return f.analyze(w)
}

func (f *fake) Forward(context.Context, *hub.ForwardRequest) (*hub.ForwardResponse, error) {
	return f.forward()
}
func (f *fake) Close() error      { return f.closed }
func (f *fake) Learned() []string { return []string{"a fact"} }

// newPool returns a pool of members; the names of those without one are a, b, c.
func newPool(t testing.TB, logger *slog.Logger, members ...pool.Member) *pool.Pool {
	t.Helper()
	for i := range members {
		if members[i].Name == "" {
			members[i].Name = string(rune('a' + i))
		}
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	p, err := pool.New(pool.Options{Members: members, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func completing(f completeFunc) pool.Member { return pool.Member{Upstream: &fake{complete: f}} }

// says is a member that answers with this text.
func says(text string) pool.Member {
	return completing(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		w.Accepted()
		w.Describe(hub.CompletionInfo{ID: "id of " + text})
		if err := w.Text(text); err != nil {
			return err
		}
		w.Finish(hub.Finish{Reason: "stop"})
		return nil
	})
}

// fails is a member that fails before its first token.
func fails(err error) pool.Member {
	return completing(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
		w.Accepted()
		w.Describe(hub.CompletionInfo{ID: "failed"})
		return err
	})
}

func failure(status int, code string) *hub.ProviderError {
	return &hub.ProviderError{Status: status, Code: code, Message: "words of " + code}
}

// recorder is a CompletionWriter that records its calls.
type recorder struct {
	log []string
	err error // of Text and Chunk
}

func (r *recorder) add(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) Accepted()                        { r.add("accepted") }
func (r *recorder) Describe(info hub.CompletionInfo) { r.add("describe %s", info.ID) }

func (r *recorder) Text(text string) error {
	r.add("text %s", text)
	return r.err
}

func (r *recorder) Chunk(raw json.RawMessage, _ string) error {
	r.add("chunk %s", raw)
	return r.err
}

func (r *recorder) Finish(f hub.Finish) { r.add("finish %s", f.Reason) }

func (r *recorder) Whole(_ json.RawMessage, text string) error {
	r.add("whole %s", text)
	return nil
}

// ask returns what a client sees of a completion: the calls, and the error.
func ask(ctx context.Context, p *pool.Pool, model string) (string, error) {
	rec := &recorder{}
	err := p.Complete(ctx, &hub.CompletionRequest{Model: model, RequestID: "r"}, rec)
	return strings.Join(rec.log, ", "), err
}

// codeOf returns an error's code, or its text.
func codeOf(err error) string {
	var e *hub.ProviderError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

// lines is a log handler that keeps "LEVEL message attrs".
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.all = append(l.all, line)
	return nil
}

// take returns the lines since the last call.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return strings.Join(all, "\n")
}
