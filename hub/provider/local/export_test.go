package local

// WaitForCorpus waits until p's corpus is indexed, or indexing has failed.
func WaitForCorpus(p *Provider) { p.corpus.wait.Wait() }
