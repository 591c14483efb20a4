package openai_test

import (
	"encoding/json"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// discard is a CompletionWriter that does nothing.
type discard struct{}

func (discard) Accepted()                           {}
func (discard) Describe(hub.CompletionInfo)         {}
func (discard) Text(string) error                   { return nil }
func (discard) Chunk(json.RawMessage, string) error { return nil }
func (discard) Finish(hub.Finish)                   {}
func (discard) Whole(json.RawMessage, string) error { return nil }

// BenchmarkChunks takes an answer of 1,000 plain chunks.
func BenchmarkChunks(b *testing.B) {
	chunks := make([][]byte, 1000)
	for i := range chunks {
		chunks[i] = []byte(delta(" return"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := openai.TakeChunk(discard{}, chunks...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/chunk")
}
