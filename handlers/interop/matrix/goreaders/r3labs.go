package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	sse "github.com/r3labs/sse/v2"
	"gopkg.in/cenkalti/backoff.v1"
)

// r3labsAsItIs reads with r3labs/sse, as its README shows. At a cut it hands over the half of a block as if it were whole,
// and takes the half of its id for the position. It does not come back after a clean end.
func r3labsAsItIs(ctx context.Context, from source, write func(line)) error {
	client := r3labsClient(from)
	return client.SubscribeRawWithContext(ctx, func(e *sse.Event) { write(line{string(e.Event), string(e.Data), string(e.ID)}) })
}

// r3labs gives the client a transport that passes on whole blocks only, tries without growing waits, and comes back after a
// clean end as well.
func r3labs(ctx context.Context, from source, write func(line)) error {
	client := r3labsClient(from)
	client.Connection.Transport = wholeBlocks{}
	client.ReconnectStrategy = backoff.NewConstantBackOff(20 * time.Millisecond)
	for ctx.Err() == nil {
		err := client.SubscribeRawWithContext(ctx, func(e *sse.Event) { write(line{string(e.Event), string(e.Data), string(e.ID)}) })
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func r3labsClient(from source) *sse.Client {
	client := sse.NewClient(from.url)
	client.Headers["Authorization"] = "Bearer " + from.token
	return client
}

// wholeBlocks is a transport whose answers end with their last whole block.
type wholeBlocks struct{}

// RoundTrip implements http.RoundTripper.
func (wholeBlocks) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		answer.Body = &blockReader{ReadCloser: answer.Body}
	}
	return answer, err
}

// blockReader reads a body up to the end of a block (WHATWG HTML 9.2.6).
type blockReader struct {
	io.ReadCloser
	whole, rest []byte
}

// Read implements io.Reader.
func (b *blockReader) Read(p []byte) (int, error) {
	for len(b.whole) == 0 {
		n, err := b.ReadCloser.Read(p)
		b.rest = append(b.rest, p[:n]...)
		if end := bytes.LastIndex(b.rest, []byte("\n\n")) + 2; end >= 2 {
			b.whole, b.rest = b.rest[:end:end], b.rest[end:]
		} else if err != nil {
			return 0, err
		}
	}
	n := copy(p, b.whole)
	b.whole = b.whole[n:]
	return n, nil
}
