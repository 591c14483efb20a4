// Package tracing sends OpenTelemetry traces to a collector with OTLP over HTTP: a span for each request, and one for
// each completion and analysis of a provider.
//
// It is only built with the tag otlp, and enabled by OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
// The SDK reads these and all other OTEL_ variables itself. Without the tag it does nothing, and does not link
// OpenTelemetry.
//
// Spans contain no tokens, queries, prompts or texts, and no error messages, which may quote any of these.
package tracing

import "os"

// endpoints are the variables for the collector's URL; the first one that is set is used.
var endpoints = []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"}

// endpoint returns the collector's URL and the variable that sets it, or "".
func endpoint() (url, variable string) {
	for _, name := range endpoints {
		if url = os.Getenv(name); url != "" {
			return url, name
		}
	}
	return "", ""
}
