package predict

import "context"

// NewCorpus indexes texts for use in requests. The result is immutable and may be shared. Its error is ctx's.
func NewCorpus(ctx context.Context, texts [][]byte) (*Doc, error) {
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	d := newDoc(size / 4)
	d.text = make([]byte, 0, size)
	for _, t := range texts {
		if err := d.addText(ctx, t, true); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Len returns the number of tokens.
func (d *Doc) Len() int { return len(d.toks) }
