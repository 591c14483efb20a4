package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
)

// startSecure runs the command serve with a certificate, and returns its URL.
func startSecure(t *testing.T, certFile, keyFile string) string {
	t.Helper()
	t.Setenv("DUCKWIRE_TLS_CERT", certFile)
	t.Setenv("DUCKWIRE_TLS_KEY", keyFile)
	t.Setenv("DUCKWIRE_JWT_SECRET", testSecret)
	ctx, cancel := context.WithCancel(t.Context())
	logs, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"serve", "--addr", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, w)
		w.Close()
	}()
	lines := bufio.NewScanner(logs)
	url := ""
	for url == "" && lines.Scan() {
		var line struct{ Msg, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			url = line.URL
		}
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != exitOK {
			t.Errorf("serve ends with code %d", got)
		}
	})
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("url %q", url)
	}
	return url
}

// TestHTTPS: over HTTP/2 many streams share one connection, and a WebSocket has its own.
func TestHTTPS(t *testing.T) {
	inEmptyDir(t)
	certFile, keyFile, pool := testnet.WriteCertificate(t, t.TempDir(), 1)
	url := startSecure(t, certFile, keyFile)
	token, err := signToken(testSecret, tokenClaims{user: "u", caps: devCaps, ttl: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	connections := make(map[net.Conn]bool)
	do := func(method, path, body string) *http.Response {
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connections[c.Conn] = true }}
		ctx := httptrace.WithClientTrace(t.Context(), trace)
		req, _ := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, resp.Proto, resp.Status)
		}
		return resp
	}
	var followers []*bufio.Scanner
	for range 12 {
		resp := do("GET", "/v1/events?topic=room:1", "")
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		followers = append(followers, lines)
		awaitLine(t, followers[len(followers)-1], "event: hello")
	}
	ws, _, err := websocket.Dial(t.Context(), url+"/socket/websocket?vsn=2.0.0&token="+token, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`["1","1","room:1","phx_join",{}]`)); err != nil {
		t.Fatal(err)
	}
	awaitFrame(t, ws, `"phx_reply"`)
	const large = 300 << 10 // more than one write accepts
	for n := range 3 {
		body := fmt.Sprintf(`{"event":"e","payload":{"n":%d,"pad":%q}}`, n, strings.Repeat("x", large))
		do("POST", "/v1/topics/room:1/events", body).Body.Close()
	}
	for n := range 3 {
		for _, f := range followers {
			awaitLine(t, f, fmt.Sprintf(`"payload":{"n":%d,`, n))
		}
		awaitFrame(t, ws, fmt.Sprintf(`"e",{"n":%d,`, n))
	}
	resp := do("POST", "/v1/completions", `{"model":"duckwire-local","stream":true,"prompt":"a(1);\nb(2);\na(1);\n"}`)
	defer resp.Body.Close()
	awaitLine(t, bufio.NewScanner(resp.Body), "data: [DONE]")
	if len(connections) != 1 {
		t.Errorf("%d connections for everything over HTTP/2", len(connections))
	}
}

func awaitLine(t *testing.T, lines *bufio.Scanner, part string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), part) {
			return
		}
	}
	t.Fatalf("the end, without %s: %v", part, lines.Err())
}

func awaitFrame(t *testing.T, ws *websocket.Conn, part string) {
	t.Helper()
	_, data, err := ws.Read(t.Context())
	if err != nil || !strings.Contains(string(data), part) {
		t.Fatalf("%.100s, %v; want %s", data, err, part)
	}
}
