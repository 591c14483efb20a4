//go:build otlp

// Package collectortest is an OpenTelemetry collector for tests: it receives traces with OTLP over HTTP and stores
// them.
package collectortest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector is a collector of one test.
type Collector struct {
	t        *testing.T
	mu       sync.Mutex
	came     chan struct{} // closed and made anew with each export
	raw      bytes.Buffer  // everything received, including headers
	spans    []*tracepb.Span
	resource *resourcepb.Resource // of the last span
}

// Start starts a collector, and sets the test's environment to send traces to it.
func Start(t *testing.T) *Collector {
	c := &Collector{t: t, came: make(chan struct{})}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	return c
}

// ServeHTTP receives an export.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var export collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" ||
		r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s (%s): %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = r.Header.Write(&c.raw) // to memory
	c.raw.Write(body)
	for _, rs := range export.ResourceSpans {
		c.resource = rs.Resource
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	close(c.came)
	c.came = make(chan struct{})
}

// Spans returns the spans received so far, in order.
func (c *Collector) Spans() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*tracepb.Span(nil), c.spans...)
}

// Resource returns the resource of the last span.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return attributes(c.resource.GetAttributes())
}

// Wait waits for a span with the name and returns the first one.
func (c *Collector) Wait(name string) *tracepb.Span {
	c.t.Helper()
	patience := time.After(time.Minute)
	for {
		c.mu.Lock()
		came := c.came
		c.mu.Unlock()
		for _, s := range c.Spans() {
			if s.Name == name {
				return s
			}
		}
		select {
		case <-came:
		case <-patience:
			c.t.Fatalf("no span %q among %v", name, c.Spans())
		}
	}
}

// Lacks checks that nothing received contains a text.
func (c *Collector) Lacks(texts ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range texts {
		if bytes.Contains(c.raw.Bytes(), []byte(text)) {
			c.t.Errorf("%q was sent to the collector", text)
		}
	}
}

// Attributes returns a span's attributes as text.
func Attributes(s *tracepb.Span) map[string]string { return attributes(s.Attributes) }

func attributes(list []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		all[a.Key] = text(a.Value)
	}
	return all
}

func text(v *commonpb.AnyValue) string {
	switch v := v.Value.(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *commonpb.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *commonpb.AnyValue_ArrayValue:
		var all []string
		for _, one := range v.ArrayValue.Values {
			all = append(all, text(one))
		}
		return strings.Join(all, ",")
	}
	return fmt.Sprint(v)
}

// Events returns the names of a span's events, in order.
func Events(s *tracepb.Span) string {
	var names []string
	for _, e := range s.Events {
		names = append(names, e.Name)
	}
	return strings.Join(names, ", ")
}
