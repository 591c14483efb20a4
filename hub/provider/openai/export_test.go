package openai

import "github.com/duckwire/duckwire/hub"

// TakeChunk feeds one chunk to a fresh answer that has seen first already, and returns what an answer makes of both.
func TakeChunk(w hub.CompletionWriter, chunks ...[]byte) error {
	a := &answer{provider: &Provider{}, w: w}
	for _, c := range chunks {
		line, err := a.compact(c)
		if err != nil {
			return err
		}
		if err := a.chunk(line, ""); err != nil {
			return err
		}
	}
	return a.finish()
}
