// Package tracing sends OpenTelemetry traces to a collector, by OTLP over HTTP: a span for each request, and one for each completion and analysis
// that a provider makes.
//
// It does so in builds with the tag otlp, where OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set; the SDK reads these and all
// other OTEL_ variables itself. Without the tag it is empty, and links nothing of OpenTelemetry.
//
// No span holds a token, a query, a prompt, a text, or an error's words: those may repeat any of them.
package tracing

import "os"

// endpoints are the variables that say where traces go, the first of which that is set counts.
var endpoints = []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"}

// endpoint returns where traces are to go and which variable says so, or "".
func endpoint() (url, variable string) {
	for _, name := range endpoints {
		if url = os.Getenv(name); url != "" {
			return url, name
		}
	}
	return "", ""
}
