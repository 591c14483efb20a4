package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// rawHTTP2 is a client that ignores the server's limits.
type rawHTTP2 struct {
	*http2.Framer
	conn   *tls.Conn
	header []byte // of a request for an event stream
}

func dialHTTP2(t *testing.T, url string, pool *x509.CertPool, token string) *rawHTTP2 {
	t.Helper()
	host := strings.TrimPrefix(url, "https://")
	conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(hubtest.Hung)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	var header bytes.Buffer
	enc := hpack.NewEncoder(&header)
	for _, field := range [][2]string{
		{":method", "GET"},
		{":scheme", "https"},
		{":authority", host},
		{":path", "/v1/events?topic=room:1"},
		{"authorization", "Bearer " + token},
	} {
		// A sensitive field is not added to the dynamic table, so that the header has the same bytes in each request.
		if err := enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: true}); err != nil {
			t.Fatal(err)
		}
	}
	c := &rawHTTP2{http2.NewFramer(conn, conn), conn, header.Bytes()}
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteWindowUpdate(0, 1<<30); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends the header of request n.
func (c *rawHTTP2) ask(n int) (id uint32, err error) {
	id = uint32(2*n + 1)
	return id, c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.header, EndStream: true, EndHeaders: true,
	})
}

// TestHTTP2StreamsAreLimited: one connection can have 250 concurrent long responses. The server refuses further
// requests, and the others go on.
func TestHTTP2StreamsAreLimited(t *testing.T) {
	inEmptyDir(t)
	certFile, keyFile, pool := testnet.WriteCertificate(t, t.TempDir(), 1)
	url := startSecure(t, certFile, keyFile)
	token, err := signToken(testSecret, tokenClaims{user: "u", caps: devCaps, ttl: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	const most, more = 250, 50
	c := dialHTTP2(t, url, pool, token)
	for n := range most + more {
		if _, err := c.ask(n); err != nil {
			t.Fatal(err)
		}
	}
	answered, refused := make(map[uint32]bool), make(map[uint32]bool)
	for len(answered)+len(refused) < most+more {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("after %d answers and %d refusals: %v", len(answered), len(refused), err)
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			answered[f.StreamID] = true
		case *http2.RSTStreamFrame:
			refused[f.StreamID] = true
		}
	}
	if len(answered) != most || len(refused) != more {
		t.Errorf("%d are answered, and %d refused", len(answered), len(refused))
	}
	if err := c.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
	next, err := c.ask(most + more)
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatal("when one has ended:", err)
		}
		if frame.Header().StreamID == next {
			if frame.Header().Type != http2.FrameHeaders {
				t.Errorf("when one has ended, the next gets %v", frame)
			}
			return
		}
	}
}

// TestHTTP2RapidReset: thousands of requests that are reset at once (CVE-2023-44487) do not affect other clients.
func TestHTTP2RapidReset(t *testing.T) {
	inEmptyDir(t)
	certFile, keyFile, pool := testnet.WriteCertificate(t, t.TempDir(), 1)
	url := startSecure(t, certFile, keyFile)
	token, err := signToken(testSecret, tokenClaims{user: "u", caps: devCaps, ttl: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := dialHTTP2(t, url, pool, token)
	go func() { _, _ = io.Copy(io.Discard, c.conn) }()
	for n := range 20_000 {
		id, err := c.ask(n)
		if err == nil {
			err = c.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		if err != nil {
			break // the server has closed the connection
		}
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: hubtest.Hung}).Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}
