package openai

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

// errCut is the error of a cutter whose text is over. It never leaves the package.
var errCut = errors.New("a marker of the template came")

// cutter passes on the text of a rendered prompt's answer up to the first of the template's markers: some upstreams
// ignore stop sequences, or take only a few.
type cutter struct {
	hub.CompletionWriter
	stops []string
	held  string // may be the beginning of a marker
}

// Text implements hub.CompletionWriter. It returns errCut at a marker.
func (c *cutter) Text(text string) error {
	c.held += text
	end := -1
	for _, s := range c.stops {
		if i := strings.Index(c.held, s); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end >= 0 {
		c.held = c.held[:end]
		if err := c.flush(); err != nil {
			return err
		}
		return errCut
	}
	keep := c.undecided()
	text, c.held = c.held[:len(c.held)-keep], c.held[len(c.held)-keep:]
	if text == "" {
		return nil
	}
	return c.CompletionWriter.Text(text)
}

// undecided returns how many bytes at the end of the held text may be the beginning of a marker.
func (c *cutter) undecided() (n int) {
	for _, s := range c.stops {
		for k := min(len(s)-1, len(c.held)); k > n; k-- {
			if strings.HasSuffix(c.held, s[:k]) {
				n = k
			}
		}
	}
	return n
}

func (c *cutter) flush() error {
	text := c.held
	if c.held = ""; text == "" {
		return nil
	}
	return c.CompletionWriter.Text(text)
}

// Chunk implements hub.CompletionWriter. A chunk with more than text is passed on as it is.
func (c *cutter) Chunk(raw json.RawMessage, text string) error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.CompletionWriter.Chunk(raw, text)
}

// Finish implements hub.CompletionWriter.
func (c *cutter) Finish(f hub.Finish) {
	_ = c.flush() // an error means that the stream has ended
	c.CompletionWriter.Finish(f)
}
