package openai

import (
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/internal/stops"
)

// errCut is the error of a cutter whose text is over. It never leaves the package.
var errCut = errors.New("a marker of the template came")

// cutter passes on the text of a rendered prompt's answer up to the first of the template's markers: some upstreams
// ignore stop sequences, or take only a few. A whole answer stays as it is.
type cutter struct {
	hub.CompletionWriter
	stops stops.Set
	held  string // may be the beginning of a marker
}

// Text implements hub.CompletionWriter. It returns errCut at a marker.
func (c *cutter) Text(text string) error {
	text = c.held + text
	at, marker := c.stops.Find(text)
	c.held = text[at:]
	if marker {
		c.held = ""
	}
	if at > 0 {
		if err := c.CompletionWriter.Text(text[:at]); err != nil {
			return err
		}
	}
	if marker {
		return errCut
	}
	return nil
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
