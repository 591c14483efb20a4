package local

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

// corpus is the index of a folder, built in the background.
type corpus struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	index  atomic.Pointer[predict.Doc] // nil until complete
}

func openCorpus(opts Options) *corpus {
	ctx, cancel := context.WithCancel(context.Background())
	c := &corpus{cancel: cancel}
	c.wait.Go(func() { c.load(ctx, opts) })
	return c
}

// doc returns the index, or nil until it is complete.
func (c *corpus) doc() *predict.Doc { return c.index.Load() }

func (c *corpus) close() {
	c.cancel()
	c.wait.Wait()
}

func (c *corpus) load(ctx context.Context, opts Options) {
	texts, err := readFolder(ctx, opts.Corpus, opts.CorpusFiles, opts.CorpusBytes)
	if err == nil {
		var d *predict.Doc
		if d, err = predict.NewCorpus(ctx, texts); err == nil {
			c.index.Store(d)
			opts.Logger.Info("local completer: corpus indexed",
				"folder", opts.Corpus, "files", len(texts), "tokens", d.Len())
		}
	}
	if err != nil && ctx.Err() == nil {
		opts.Logger.Warn("local completer: corpus not indexed", "folder", opts.Corpus, "error", err)
	}
}
