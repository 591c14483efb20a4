package channels

import (
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// AnalysisAsk is what a test's analyser is asked for.
type AnalysisAsk = analysisInput

// Analysing returns the channels whose analyses are a test's.
func Analysing(begin func(h *hub.Hub, what *AnalysisAsk, spec hub.StreamSpec) (*hub.Stream, error)) []socket.Route {
	return []socket.Route{{Pattern: "code:*", Kind: code{begin}}, {Pattern: "analysis:*", Kind: analysis{begin}}}
}
