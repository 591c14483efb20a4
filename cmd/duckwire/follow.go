package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// ending is the data of a stream's end (protocol/sse.md 6.1).
type ending struct {
	Status       string          `json:"status"`
	FinishReason string          `json:"finish_reason"`
	Usage        json.RawMessage `json:"usage"`
	Error        *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// failedError is a stream that ended, but not well.
type failedError struct{ error }

func (e *failedError) Unwrap() error { return e.error }

// err is nil for a stream that is done; otherwise it says how the stream ended.
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
	return &failedError{err}
}

// streamText writes a stream's text, exactly: from its beginning, each byte once, across cuts and restarts of the server.
type streamText struct {
	out      io.Writer
	at       int64 // bytes written
	unwanted bool  // out takes no more
	ending   *ending
}

// follow writes the text of stream id to its end. The error is that of a gap, of an end that is not well, of out, or of the follower.
func (s *streamText) follow(ctx context.Context, c *client, id string, retry *retrier) error {
	f := &follower{client: c, path: "/v1/streams/" + url.PathEscape(id), cursor: "0", handle: s.take, retry: retry}
	err := f.run(ctx)
	if err == errOver && s.ending == nil { // it ended between the last text and us
		err = s.askEnding(ctx, c, id)
	}
	var api *apiError
	switch {
	case err == nil:
		return s.ending.err()
	case errors.As(err, &api) && api.Status == http.StatusNotFound && f.cursor != "0":
		return fmt.Errorf("the server lost the stream after byte %d of its text; ask again (%w)", s.at, err)
	}
	return err
}

func (s *streamText) take(b block) error {
	switch b.name {
	case blockChunk:
		return s.chunk(b.data)
	case blockReset:
		return s.lost(b.data)
	case blockEnd:
		s.ending = &ending{}
		if err := json.Unmarshal(b.data, s.ending); err != nil {
			return fmt.Errorf("the stream's end cannot be read: %w", err)
		}
		return errDone
	}
	return nil // structured events are not text
}

// chunk writes what is new of a piece of text that begins at byte At of the stream.
func (s *streamText) chunk(data []byte) error {
	var piece struct {
		Text string
		At   int64
	}
	if err := json.Unmarshal(data, &piece); err != nil {
		return fmt.Errorf("a piece of text cannot be read: %w", err)
	}
	if piece.At > s.at {
		return fmt.Errorf("the server left out bytes %d to %d of the text", s.at, piece.At)
	}
	have := s.at - piece.At
	if have >= int64(len(piece.Text)) {
		return nil
	}
	n, err := io.WriteString(s.out, piece.Text[have:])
	s.at += int64(n)
	s.unwanted = err != nil
	return err
}

// lost tells that the server no longer has what the text was read from.
func (s *streamText) lost(data []byte) error {
	var reset struct{ Reason string }
	_ = json.Unmarshal(data, &reset)
	return fmt.Errorf("the server lost the stream's record (reset: %s) after byte %d of the text; "+
		"'duckwire streams show' prints what it has, or ask again", reset.Reason, s.at)
}

func (s *streamText) askEnding(ctx context.Context, c *client, id string) error {
	s.ending = &ending{}
	return c.get(ctx, "/v1/streams/"+url.PathEscape(id), s.ending)
}
