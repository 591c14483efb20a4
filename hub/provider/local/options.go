package local

import (
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Options configure a Provider. The zero value means no corpus and all defaults.
type Options struct {
	Corpus      string        // folder of source code to predict from as well; "": none
	CorpusFiles int           // maximum number of files; 0: 2,000
	CorpusBytes int           // maximum bytes of text; the index takes about 25 times as much memory; 0: 4 MiB
	TokenDelay  time.Duration // pause between tokens, so that the text visibly streams; 0: 15 ms; negative: none
	MaxTokens   int           // maximum tokens of an answer; a request may ask for fewer; 0: 256
	Logger      *slog.Logger  // nil: slog.Default()
}

// defaultTokenDelay is slow enough to see text stream.
const defaultTokenDelay = 15 * time.Millisecond

func (o Options) withDefaults() Options {
	if o.CorpusFiles == 0 {
		o.CorpusFiles = 2000
	}
	if o.CorpusBytes == 0 {
		o.CorpusBytes = 4 << 20
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = 256
	}
	if o.TokenDelay == 0 {
		o.TokenDelay = defaultTokenDelay
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func (o Options) validate() error {
	if o.CorpusFiles < 0 || o.CorpusBytes < 0 || o.MaxTokens < 0 {
		return fmt.Errorf("local completer: limits must not be negative")
	}
	if o.Corpus == "" {
		return nil
	}
	info, err := os.Stat(o.Corpus)
	if err != nil {
		return fmt.Errorf("local completer: corpus: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("local completer: corpus: %s is not a folder", o.Corpus)
	}
	return nil
}
