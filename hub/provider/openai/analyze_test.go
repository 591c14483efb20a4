package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// notes is an AnalysisWriter that records its calls.
type notes struct {
	log      []string
	metadata map[string]any
	onIssue  func() error
}

func (n *notes) Accepted() {}

func (n *notes) Progress(index int) error {
	n.log = append(n.log, fmt.Sprintf("progress %d", index))
	return nil
}

func (n *notes) Issues(found ...hub.Issue) error {
	for _, i := range found {
		n.log = append(n.log, fmt.Sprintf("%s:%d:%d: %s %s", i.File, i.Line, i.Column, i.Severity, i.Message))
	}
	if n.onIssue != nil {
		return n.onIssue()
	}
	return nil
}

func (n *notes) FileDone(index int) error {
	n.log = append(n.log, fmt.Sprintf("done %d", index))
	return nil
}

func (n *notes) Metadata(data json.RawMessage) error { return json.Unmarshal(data, &n.metadata) }

func analysis(files ...string) *hub.AnalysisRequest {
	req := &hub.AnalysisRequest{Type: "semantic", RequestID: "req-1"}
	for _, path := range files {
		req.Files = append(req.Files, hub.AnalysisFile{Path: path, Code: "package a\n\nfunc f() {}\n"})
	}
	return req
}

// answers returns a chat answer with this text, in pieces of three bytes.
func answers(text, reason string) string {
	var b strings.Builder
	b.WriteString(data(opening))
	for len(text) > 0 {
		n := min(3, len(text))
		b.WriteString(data(delta(text[:n])))
		text = text[n:]
	}
	return b.String() + data(strings.Replace(finished, `"stop"`, `"`+reason+`"`, 1), usage, done)
}

func analyze(t *testing.T, h http.HandlerFunc, o openai.Options, req *hub.AnalysisRequest) (*notes, error) {
	t.Helper()
	o.BaseURL = upstream(t, h)
	if o.Model == "" {
		o.Model = "m"
	}
	n := &notes{}
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	defer cancel()
	return n, newProvider(t, o).Analyze(ctx, req, n)
}

const (
	oneIssue = `{"file":"a.go","line":3,"column":6,"severity":"high","type":"semantic","category":"unused",` +
		`"rule":"u1","message":"f is unused"}`
	noMore = `{"done":true}`
)

func TestAnalyze(t *testing.T) {
	const told = "a.go:3:6: high f is unused"
	cases := map[string]struct {
		answer   string
		reason   string
		log      string // between progress and done
		metadata string
	}{
		"as asked":     {oneIssue + "\n" + noMore + "\n", "stop", told, `{"unparsed":0}`},
		"no issues":    {noMore, "stop", "", `{"unparsed":0}`},
		"no end":       {oneIssue, "stop", told, `{"unparsed":0}`},
		"fenced":       {"```json\n" + oneIssue + "\n" + noMore + "\n```\n", "stop", told, `{"unparsed":0}`},
		"prose around": {"Here are the issues:\n\n" + oneIssue + "\nThat is all.\n", "stop", told, `{"unparsed":2}`},
		"prose on a line": {
			"1. " + oneIssue + ",\n- Issue: " + oneIssue + " as you see\n", "stop", told + "\n" + told,
			`{"unparsed":0}`,
		},
		"an array": {"[" + oneIssue + ",\n" + oneIssue + "\n]", "stop", told + "\n" + told, `{"unparsed":0}`},
		"pretty": {
			"{\n  \"file\": \"a.go\",\n  \"range\": {\"x\": 1},\n  \"line\": \"3-4\",\n  \"severity\": \"Error\",\n" +
				"  \"message\": \"m\"\n}\n", "stop",
			"a.go:3:0: Error m", `{"unparsed":0}`,
		},
		"one object":       {`{"issues":[` + oneIssue + `]}`, "stop", told, `{"unparsed":0}`},
		"one empty object": {`{"issues":[]}`, "stop", "", `{"unparsed":0}`},
		"one object, many lines": {
			"{\"issues\": [\n" + oneIssue + ",\n" + oneIssue + "\n]}\n", "stop", told + "\n" + told,
			`{"unparsed":0}`,
		},
		"one pretty object": {
			"{\n  \"issues\": [\n" + strings.Repeat("    {\n      \"line\": 3,\n      \"message\": \"m\"\n    },\n",
				40) + "  ]\n}\n", "stop",
			strings.TrimSuffix(strings.Repeat("a.go:3:0:  m\n", 40), "\n"), `{"unparsed":0}`,
		},
		"a list inside": {
			"{\"message\": \"m\", \"tags\": [\n\"x\"],\n\"line\": 3}\n", "stop", "a.go:3:0:  m",
			`{"unparsed":0}`,
		},
		"one pretty empty object": {"{\n  \"issues\": [\n  ]\n}\n", "stop", "", `{"unparsed":0}`},
		"an object of another":    {`{"x":1}` + "\n" + oneIssue, "stop", told, `{"unparsed":1}`},
		"cut off": {
			oneIssue + "\n{\"file\":\"a.go\",\"mess", "length", told,
			`{"unparsed":1,"truncated":true}`,
		},
		"broken JSON": {oneIssue + "\n{\"file\": nope}\n" + noMore, "stop", told, `{"unparsed":1}`},
		"beyond the file": {
			strings.Replace(oneIssue, `"line":3`, `"line":99`, 1), "stop",
			"a.go:0:0: high f is unused", `{"unparsed":0,"misplaced":1}`,
		},
		"absurd numbers": {`{"line":-1,"column":1e99,"message":"m"}`, "stop", "a.go:0:0:  m", `{"unparsed":0}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := analyze(t, sends(answers(c.answer, c.reason)), openai.Options{}, analysis("a.go"))
			if err != nil {
				t.Fatal(err)
			}
			want := "progress 0\n" + c.log + "\ndone 0"
			if got := strings.Join(n.log, "\n"); got != strings.Replace(want, "\n\n", "\n", 1) {
				t.Errorf("%s\nwant\n%s", got, want)
			}
			var metadata map[string]any
			if err := json.Unmarshal([]byte(c.metadata), &metadata); err != nil {
				t.Fatal(err)
			}
			metadata["model"], metadata["usage"] = "m", map[string]any{"total_tokens": 3.}
			if !reflect.DeepEqual(n.metadata, metadata) {
				t.Errorf("%v, want %v", n.metadata, metadata)
			}
		})
	}
}

// TestBadAnswers checks that an answer without anything that can be parsed is an error, and not an analysis without
// issues.
func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"prose":           "I looked at the code and it is fine.",
		"nothing":         "",
		"another object":  `{"verdict":"fine"}`,
		"cut in an issue": `{"file":"a.go",`,
		"a lone brace":    "func main() {\n  return\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			n, err := analyze(t, sends(answers(answer, "stop")), openai.Options{}, analysis("a.go"))
			e := providerError(t, err, 502, "bad_answer")
			if first, _, _ := strings.Cut(answer, "\n"); !strings.Contains(e.Message, first) || n.metadata != nil {
				t.Errorf("%q %v", e.Message, n.metadata)
			}
		})
	}
	_, err := analyze(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"no"}}`, http.StatusUnauthorized)
	}, openai.Options{}, analysis("a.go"))
	var e *hub.ProviderError
	if !errors.As(err, &e) {
		t.Error(err)
	}
	_, err = analyze(t, cuts(data(opening, delta(oneIssue+"\n")), nil), openai.Options{}, analysis("a.go"))
	providerError(t, err, 502, "upstream_truncated")
}

// TestAnalyzeInBatches checks that much code is sent in several requests, and that each issue is found among the files
// of its request.
func TestAnalyzeInBatches(t *testing.T) {
	req := analysis("a.go", "lib/b.go", "c.go")
	req.Files[0].Code = strings.Repeat("x\n", 30<<10)
	var asked []string
	n, err := analyze(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, string(body))
		text := noMore
		if strings.Contains(string(body), "FILE lib/b.go") {
			text = `{"file":"./b.go","line":1,"message":"in b"}` + "\n" + `{"file":"z.go","line":1,"message":"nowhere"}`
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answers(text, "stop"))
	}, openai.Options{}, req)
	want := "progress 0, done 0, progress 1, lib/b.go:1:0:  in b, done 1, done 2"
	if got := strings.Join(n.log, ", "); err != nil || got != want || len(asked) != 2 || n.metadata["misplaced"] != 1. {
		t.Errorf("%s %v %v, %d requests", got, err, n.metadata, len(asked))
	}
	if !strings.Contains(asked[1], `3| func f() {}`) || !strings.Contains(asked[1], `"model":"m"`) ||
		!strings.Contains(asked[1], "asked for: semantic") {
		t.Error(asked[1])
	}
}

func TestAnalyzeStopsWithItsWriter(t *testing.T) {
	n := &notes{onIssue: func() error { return errs.ErrClosed }}
	url := upstream(t, sends(answers(oneIssue+"\n"+oneIssue, "stop")))
	p := newProvider(t, openai.Options{Model: "m", BaseURL: url})
	if err := p.Analyze(t.Context(), analysis("a.go"), n); !errors.Is(err, errs.ErrClosed) || len(n.log) != 2 {
		t.Errorf("%v %v", err, n.log)
	}
}

// TestAnalysisModel checks that without a configured model the request's options or the upstream's list name it.
func TestAnalysisModel(t *testing.T) {
	var asked string
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"listed","object":"model"}]}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answers(noMore, "stop"))
	}
	p := newProvider(t, openai.Options{BaseURL: upstream(t, h)})
	for options, want := range map[string]string{
		`{}`: "listed", `{"model":"chosen"}`: "chosen", `{"model":7}`: "listed",
	} {
		req := analysis("a.go")
		req.Options = json.RawMessage(options)
		if err := p.Analyze(t.Context(), req, &notes{}); err != nil || !strings.Contains(asked, `"model":"`+want+`"`) {
			t.Errorf("%s: %v %s", options, err, asked)
		}
	}
}

// FuzzIssueLines checks that the result does not depend on how an answer is cut into pieces, and that no line is
// counted twice.
func FuzzIssueLines(f *testing.F) {
	f.Add(oneIssue+"\n"+noMore, uint8(3))
	f.Fuzz(func(t *testing.T, answer string, cut uint8) {
		var pieces []string
		for rest := answer; rest != ""; {
			n := min(int(cut)+1, len(rest))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		objects, unparsed, sample := openai.ScanIssues(answer)
		again, unparsed2, sample2 := openai.ScanIssues(pieces...)
		if !reflect.DeepEqual(objects, again) || unparsed != unparsed2 || sample != sample2 {
			t.Errorf("%d objects, %d unparsed, %q; in pieces %d, %d, %q", len(objects), unparsed, sample, len(again),
				unparsed2, sample2)
		}
		if lines := strings.Count(answer, "\n") + 1; unparsed > lines {
			t.Errorf("%d of %d lines", unparsed, lines)
		}
	})
}
