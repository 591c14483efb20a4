package sseclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
)

// ending is the data of a stream's end (openapi.yaml: End).
type ending struct {
	Status       string          `json:"status"`
	FinishReason string          `json:"finish_reason"`
	Usage        json.RawMessage `json:"usage"`
	Error        *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// FailedError is the error of a stream that failed, was cancelled or was superseded.
type FailedError struct{ error }

func (e *FailedError) Unwrap() error { return e.error }

// err returns nil for a stream that is done, otherwise an error that describes how it ended.
func (e *ending) err() error {
	var err error
	switch {
	case e.Status == "done":
		return nil
	case e.Error != nil && e.Error.Message != "":
		err = fmt.Errorf("the stream ended as %s: %s: %s", e.Status, e.Error.Code, e.Error.Message)
	default:
		err = fmt.Errorf("the stream ended as %s", e.Status)
	}
	if e.Status == "interrupted" {
		return fmt.Errorf("%w; the text so far is whole, ask again for the rest", err)
	}
	return &FailedError{err}
}

// Text writes a stream's text from its beginning, each byte once, across cuts and restarts of the server.
type Text struct {
	Out       io.Writer
	At        int64 // bytes written
	OutFailed bool  // a write to Out failed
	ending    *ending
}

// Follow writes the text of stream id until its end. It returns an error for a gap in the text, for an end other than
// done, and for failures of Out and of the follower.
func (s *Text) Follow(ctx context.Context, c *client.Client, id string, retry *client.Retrier) error {
	f := &Follower{Client: c, Path: client.StreamPath(id), Cursor: "0", Handle: s.take, Retry: retry}
	err := f.Run(ctx)
	if err == errOver && s.ending == nil { // it ended after the last text, before this request
		err = s.askEnding(ctx, c, id)
	}
	var api *client.APIError
	switch {
	case err == nil:
		return s.ending.err()
	case errors.As(err, &api) && api.Status == http.StatusNotFound && f.Cursor != "0":
		return fmt.Errorf("the server lost the stream after byte %d of its text; ask again (%w)", s.At, err)
	}
	return err
}

func (s *Text) take(b Block) error {
	switch b.Name {
	case BlockChunk:
		return s.chunk(b.Data)
	case BlockReset:
		return s.lost(b.Data)
	case BlockEnd:
		s.ending = &ending{}
		if err := json.Unmarshal(b.Data, s.ending); err != nil {
			return fmt.Errorf("the stream's end cannot be read: %w", err)
		}
		return ErrDone
	}
	return nil // structured events are not text
}

// chunk writes the new part of a piece of text that begins at byte At of the stream.
func (s *Text) chunk(data []byte) error {
	var piece struct {
		Text string
		At   int64
	}
	if err := json.Unmarshal(data, &piece); err != nil {
		return fmt.Errorf("a piece of text cannot be read: %w", err)
	}
	if piece.At > s.At {
		return fmt.Errorf("the server left out bytes %d to %d of the text", s.At, piece.At)
	}
	have := s.At - piece.At
	if have >= int64(len(piece.Text)) {
		return nil
	}
	n, err := io.WriteString(s.Out, piece.Text[have:])
	s.At += int64(n)
	s.OutFailed = err != nil
	return err
}

// lost returns the error for a stream whose log the server no longer has.
func (s *Text) lost(data []byte) error {
	var reset struct{ Reason string }
	_ = json.Unmarshal(data, &reset)
	return fmt.Errorf("the server lost the stream's record (reset: %s) after byte %d of the text; "+
		"'duckwire streams show' prints what it has, or ask again", reset.Reason, s.At)
}

func (s *Text) askEnding(ctx context.Context, c *client.Client, id string) error {
	s.ending = &ending{}
	return c.Get(ctx, client.StreamPath(id), s.ending)
}
