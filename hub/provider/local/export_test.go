package local

// WaitForCorpus waits until p's corpus is indexed, or has failed to be.
func WaitForCorpus(p *Provider) { p.corpus.wait.Wait() }
