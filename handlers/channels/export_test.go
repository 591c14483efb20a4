package channels

import (
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// AnalysisAsk is the input of a test's analyser.
type AnalysisAsk = analysisInput

// Analysing returns channels whose analyses call begin.
func Analysing(begin func(h *hub.Hub, what *AnalysisAsk, spec hub.StreamSpec) (*hub.Stream, error)) []socket.Route {
	return []socket.Route{{Pattern: "code:*", Kind: code{begin}}, {Pattern: "analysis:*", Kind: analysis{begin}}}
}
