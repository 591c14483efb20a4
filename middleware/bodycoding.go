package middleware

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/hub/contentcoding"
	"github.com/duckwire/duckwire/hub/errs"
)

// ErrCoding is matched by the errors of DecodeBody and PlainBody for a Content-Encoding that they do not accept. An
// answer with it should have the header Accept-Encoding (RFC 9110 §12.5.3).
var ErrCoding = errors.New("content coding not accepted")

// codingError is a Content-Encoding that is not accepted.
type codingError struct{ coding, accepted string }

func (e *codingError) Error() string {
	return fmt.Sprintf("the Content-Encoding %.40q is not accepted here; accepted: %s", e.coding, e.accepted)
}

// Is reports that a codingError is an ErrCoding.
func (e *codingError) Is(target error) bool { return target == ErrCoding }

// AcceptedCodings returns the value of Accept-Encoding for an answer with an error that matches ErrCoding.
func AcceptedCodings(err error) string {
	var e *codingError
	if errors.As(err, &e) {
		return e.accepted
	}
	return codingIdentity
}

// The content codings of requests (RFC 9110 §8.4.1).
const (
	codingIdentity = "identity"
	codingsDecoded = "gzip, deflate, identity"
)

// DecodeBody returns r with its body decoded from gzip or deflate, and without Content-Encoding. The body is decoded
// while it is read.
//
// Neither the body that was sent nor the decoded one may have more than limit bytes: beyond it, Read returns a
// *errs.LimitError that matches errs.ErrTooLarge. If the body is not in its coding, Read returns a *errs.FieldError.
// DecodeBody itself returns an error that matches ErrCoding for any other coding, or for several.
func DecodeBody(r *http.Request, limit int64) (*http.Request, error) {
	coding := codingOf(r.Header)
	plain := *r
	plain.Body = limitBody(r.Body, limit)
	if coding == codingIdentity {
		return &plain, nil
	}
	open := contentcoding.Decoder(coding)
	if open == nil {
		return nil, &codingError{coding, codingsDecoded}
	}
	decoding := &decodingBody{sent: sentBody{ReadCloser: plain.Body}, coding: coding, open: open}
	plain.Body = limitBody(decoding, limit)
	plain.ContentLength = -1
	plain.Header = r.Header.Clone()
	plain.Header.Del("Content-Encoding")
	plain.Header.Del("Content-Length")
	return &plain, nil
}

// PlainBody returns an error that matches ErrCoding if the request's body has a content coding.
func PlainBody(r *http.Request) error {
	if coding := codingOf(r.Header); coding != codingIdentity {
		return &codingError{coding, codingIdentity}
	}
	return nil
}

// codingOf returns Content-Encoding in lower case, without codings that change nothing.
func codingOf(h http.Header) string {
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "" && coding != codingIdentity {
			codings = append(codings, coding)
		}
	}
	if len(codings) == 0 {
		return codingIdentity
	}
	return strings.Join(codings, ", ")
}

// decodingBody decodes a body. It opens the decoder at the first Read, because that reads from the client.
type decodingBody struct {
	sent    sentBody
	coding  string
	open    func(io.Reader) (io.Reader, error)
	decoder io.Reader
	err     error // of the first Read that failed
}

func (b *decodingBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.decoder == nil {
		b.decoder, err = b.open(&b.sent)
	}
	if err == nil {
		n, err = b.decoder.Read(p)
	}
	if err != nil {
		b.err = b.errorOf(err)
	}
	return n, b.err
}

// errorOf returns the error to read for one of the decoder.
func (b *decodingBody) errorOf(err error) error {
	if errors.Is(err, io.EOF) && b.decoder != nil {
		_, err = io.Copy(io.Discard, &b.sent) // net/http notices a client that goes once the body is read to its end
		if err == nil {
			return io.EOF
		}
	}
	switch {
	case b.sent.err != nil: // not the decoder's
		return b.sent.err
	case b.sent.bytes == 0:
		return io.EOF
	}
	return errs.Invalid("body", "is not valid %s: %v", b.coding, err)
}

// Close closes the body that was sent.
func (b *decodingBody) Close() error { return b.sent.Close() }

// sentBody is the encoded body. It remembers how much of it was read, and the error of the connection, if there was one.
type sentBody struct {
	io.ReadCloser
	bytes int64
	err   error
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
