package handlers_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/web"
)

// contract is openapi.yaml, and records which parts of it the tests have used. Every response in a test of this package
// is compared with it.
var contract = loadContract()

type apiContract struct {
	doc   *openapi3.T
	paths []contractPath

	mu   sync.Mutex
	seen map[string]bool // "GET /v1/streams/{id} 200"
}

type contractPath struct {
	template string
	match    *regexp.Regexp
	item     *openapi3.PathItem
}

func loadContract() *apiContract {
	raw, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		panic(err)
	}
	c := &apiContract{doc: doc, seen: map[string]bool{}}
	for template, item := range doc.Paths.Map() {
		pattern := regexp.MustCompile(`\\\{([a-z]+)\\\}`).ReplaceAllString(regexp.QuoteMeta(template), `(?P<$1>[^/]+)`)
		for _, name := range []string{"topic", "model"} { // slashes may stand as they are
			pattern = strings.Replace(pattern, "<"+name+">[^/]+", "<"+name+">.+", 1)
		}
		c.paths = append(c.paths, contractPath{template, regexp.MustCompile("^" + pattern + "$"), item})
	}
	slices.SortFunc(c.paths, func(a, b contractPath) int { return strings.Compare(a.template, b.template) })
	type encodingOf = openapi3filter.EncodingFn
	asText := func(io.Reader, http.Header, *openapi3.SchemaRef, encodingOf) (any, error) { return "text", nil }
	for _, media := range []string{
		"text/event-stream", "application/x-ndjson", "text/plain", "text/html", "text/css", "text/javascript",
		"application/yaml",
	} {
		openapi3filter.RegisterBodyDecoder(media, asText)
	}
	openapi3filter.RegisterBodyDecoder(
		"application/problem+json", openapi3filter.RegisteredBodyDecoder("application/json"),
	)
	return c
}

func (c *apiContract) find(method, path string) (*contractPath, *openapi3.Operation) {
	for i := range c.paths {
		if p := &c.paths[i]; p.match.MatchString(path) {
			return p, p.item.GetOperation(method)
		}
	}
	return nil, nil
}

// checked is a transport that compares each response with the contract. It does not read bodies that may be endless.
type checked struct {
	t    testing.TB
	next http.RoundTripper
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	if r.Method == http.MethodHead { // described as GET is
		if _, op := contract.find(http.MethodGet, r.URL.Path); op != nil {
			contract.checkHeaders(c.t, r, resp, op)
			return resp, nil
		}
	}
	path, op := contract.find(r.Method, r.URL.Path)
	if op == nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed &&
			resp.StatusCode != http.StatusUnauthorized {
			c.t.Errorf("%s %s is in no path of openapi.yaml, and answers %s", r.Method, r.URL.Path, resp.Status)
		}
		return resp, nil
	}
	contract.note(r.Method, path.template, resp.StatusCode)
	if resp.StatusCode < 300 {
		contract.checkRequest(c.t, r, path, op)
	}
	contract.checkHeaders(c.t, r, resp, op)
	contract.watch(c.t, r, resp, path)
	body := []byte("text")
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "json") {
		if body, err = io.ReadAll(resp.Body); err != nil {
			return resp, nil // the test has cut the response
		}
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r,
			Route: &routers.Route{
				Spec: contract.doc, Path: path.template, PathItem: path.item, Method: r.Method, Operation: op,
			},
		},
		Status: resp.StatusCode, Header: resp.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if resp.StatusCode != http.StatusNoContent {
		input.SetBodyBytes(body)
	}
	if err := openapi3filter.ValidateResponse(r.Context(), input); err != nil {
		c.t.Errorf("%s %s, %s: not as openapi.yaml has it: %v\n%.500s", r.Method, r.URL, resp.Status, err, body)
	}
	return resp, nil
}

// CloseIdleConnections lets the client end its connections.
func (c checked) CloseIdleConnections() { c.next.(*http.Transport).CloseIdleConnections() }

func (c *apiContract) note(method, template string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[fmt.Sprintf("%s %s %d", method, template, status)] = true
}

// contractCoverage is called after all tests. It returns the documented statuses that no test has received: either the
// file is wrong, or a test is missing.
func contractCoverage() (missing []string) {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return nil // not all tests ran
		}
	}
	if testing.Short() {
		return nil
	}
	for _, p := range contract.paths {
		for method, op := range p.item.Operations() {
			for status := range op.Responses.Map() {
				if _, err := strconv.Atoi(status); err != nil {
					continue // default, 4XX
				}
				if name := method + " " + p.template + " " + status; !contract.seen[name] {
					missing = append(missing, name)
				}
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// TestOpenAPIHasEveryRoute compares the file with the router, in both directions.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	if err := contract.doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Errorf("openapi.yaml: %v", err)
	}
	served := map[string]bool{}
	walk := func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served[method+" "+route] = true
		return nil
	}
	if err := chi.Walk(handlers.Routes(handlers.Options{}), walk); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, p := range contract.paths {
		for method := range p.item.Operations() {
			described[method+" "+p.template] = true
		}
	}
	for name := range served {
		if !described[name] {
			t.Errorf("%s is served and not described", name)
		}
	}
	for name := range described {
		if !served[name] {
			t.Errorf("%s is described and not served", name)
		}
	}
}

func TestOpenAPIIsServedAsItIs(t *testing.T) {
	file, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := web.Docs.ReadFile("docs/openapi.yaml")
	if err != nil || !bytes.Equal(file, embedded) {
		t.Errorf("web/docs/openapi.yaml is not ../openapi.yaml (%v): run make generate", err)
	}
	s := startServer(t, nil, hub.Limits{}, nil)
	resp := s.do("GET", "/openapi.yaml", "", "Authorization: none")
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !bytes.Equal(body, file) ||
		resp.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%s, %d bytes of %d", resp.Header.Get("Content-Type"), len(body), len(file))
	}
}
