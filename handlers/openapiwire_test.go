package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// checkRequest compares a request that the server accepted with the file: the file must permit it. The opposite is not
// checked, because a server may refuse more than a schema can describe.
func (c *apiContract) checkRequest(t testing.TB, r *http.Request, path *contractPath, op *openapi3.Operation) {
	input := &openapi3filter.RequestValidationInput{
		Request:    r.Clone(r.Context()),
		PathParams: path.params(r.URL.Path),
		Route:      &routers.Route{Spec: c.doc, Path: path.template, PathItem: path.item, Method: r.Method, Operation: op},
		Options:    &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	var body []byte
	if r.GetBody == nil || r.Header.Get("Content-Encoding") != "" { // a long upload cannot be read again
		input.Options.ExcludeRequestBody = true
	} else if again, err := r.GetBody(); err == nil {
		body, _ = io.ReadAll(again)
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
		input.Request.Body, input.Request.GetBody = io.NopCloser(bytes.NewReader(body)), nil
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		t.Errorf("%s %s was taken, and is not as openapi.yaml has it: %v\n%.500s", r.Method, r.URL, err, body)
	}
	for name := range r.URL.Query() {
		if op.Parameters.GetByInAndName("query", name) == nil && name != "token" && name != "api_key" {
			t.Errorf("%s %s was taken, and openapi.yaml has no ?%s there", r.Method, r.URL, name)
		}
	}
}

// params returns the values of the template's parameters in the path.
func (p *contractPath) params(path string) map[string]string {
	found := map[string]string{}
	values := p.match.FindStringSubmatch(path)
	for i, name := range p.match.SubexpNames() {
		if name != "" && values != nil {
			found[name] = values[i]
		}
	}
	return found
}

// everywhere are the headers that any answer may have, according to the file's introduction.
var everywhere = []string{
	"Cache-Control", "Content-Length", "Content-Type", "Date", "Vary", "X-Content-Type-Options", "X-Request-Id",
	"X-Accel-Buffering",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Connection",
	"Transfer-Encoding",
}

// checkHeaders reports headers of an answer that the file does not describe. kin-openapi checks those that it does
// describe.
func (c *apiContract) checkHeaders(t testing.TB, r *http.Request, resp *http.Response, op *openapi3.Operation) {
	described := op.Responses.Status(resp.StatusCode)
	if described == nil {
		described = op.Responses.Default()
	}
	if described == nil {
		t.Errorf("%s %s: %s is not in openapi.yaml", r.Method, r.URL, resp.Status)
		return
	}
	for name := range resp.Header {
		told := slices.Contains(everywhere, name)
		for known := range described.Value.Headers {
			told = told || strings.EqualFold(known, name)
		}
		if !told {
			t.Errorf(
				"%s %s, %s: openapi.yaml does not tell of the header %s: %s", r.Method, r.URL, resp.Status, name,
				resp.Header.Get(name),
			)
		}
	}
}

// watched passes a long body on, and compares each complete block or line with its schema.
type watched struct {
	io.ReadCloser
	part  []byte // of an incomplete block or line
	end   string
	check func(part string)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.part = append(w.part, p[:n]...)
	for {
		part, rest, ok := bytes.Cut(w.part, []byte(w.end))
		if !ok {
			return n, err
		}
		w.check(string(part))
		w.part = rest
	}
}

// watch compares the blocks and lines of a long answer with the schemas of its format.
func (c *apiContract) watch(t testing.TB, r *http.Request, resp *http.Response, path *contractPath) {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch media {
	case "text/event-stream":
		schema := blockSchema(r, path.template)
		resp.Body = &watched{ReadCloser: resp.Body, end: "\n\n", check: func(block string) {
			event, data := blockFields(block)
			if data != "[DONE]" {
				c.checkJSON(t, schema(event), data, "block "+event)
			}
		}}
	case "application/x-ndjson":
		resp.Body = &watched{ReadCloser: resp.Body, end: "\n", check: func(line string) { c.checkLine(t, line) }}
	}
}

// blockSchema returns a function that returns the schema of an operation's block by its name.
func blockSchema(r *http.Request, template string) func(event string) string {
	named := map[string]string{
		"hello": "Hello", "reset": "Reset", "bye": "Bye", "presence_state": "PresenceState",
		"presence_diff": "PresenceDiff",
	}
	other := "Envelope"
	switch {
	case template == "/socket/sse":
		named["hello"], other = "SocketHello", "SocketFrame"
	case strings.HasSuffix(template, "completions") || r.URL.Query().Get("format") == "openai":
		return func(event string) string {
			if event == "bye" { // overloaded: sent before the answer's format is known
				return "Bye"
			}
			return "CompletionBlock"
		}
	case strings.HasPrefix(template, "/v1/users/"):
		named["messages_expired"], other = "MessagesExpired", "Message"
	case strings.HasPrefix(template, "/v1/streams/"):
		named["chunk"], named["end"], other = "Chunk", "End", "Entry"
	}
	return func(event string) string {
		if name, ok := named[event]; ok {
			return name
		}
		return other
	}
}

// blockFields returns the event and the data of a block.
func blockFields(block string) (event, data string) {
	for line := range strings.SplitSeq(block, "\n") {
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "event":
			event = value
		case "data":
			data += value
		}
	}
	return event, data
}

// checkLine compares a line of NDJSON with its schema, and its members with the schema of the corresponding block.
func (c *apiContract) checkLine(t testing.TB, line string) {
	t.Helper()
	c.checkJSON(t, "StreamLine", line, "line")
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &members) != nil {
		return // said already
	}
	var event string
	_ = json.Unmarshal(members["event"], &event) // said already
	schema, ours := map[string]string{
		"hello": "Hello", "chunk": "Chunk", "reset": "Reset", "end": "End", "bye": "Bye",
	}[event]
	if !ours {
		return
	}
	delete(members, "event")
	if event != "hello" { // whose data also has a position
		delete(members, "position")
	}
	if event == "bye" {
		delete(members, "retry")
	}
	data, _ := json.Marshal(members)
	c.checkJSON(t, schema, string(data), "line "+event)
}

// checkJSON compares a text with one of the file's schemas.
func (c *apiContract) checkJSON(t testing.TB, schema, text, what string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%s: %v in %q", what, err, text)
		return
	}
	ref := c.doc.Components.Schemas[schema]
	if ref == nil {
		panic(fmt.Sprintf("openapi.yaml has no schema %s", schema))
	}
	if err := ref.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s %s is no %s: %v", what, text, schema, err)
	}
}
