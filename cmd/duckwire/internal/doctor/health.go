package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// localURL is where a client on this machine finds a server that listens on addr.
func localURL(addr string, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return scheme + addr
}

// checkHealth reads an answer of /healthz or /readyz; other programs answer with 200, too.
func checkHealth(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	var answer struct{ Status, Detail string }
	_ = json.Unmarshal(body, &answer) // not one of ours: no status
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s", resp.Status, answer.Detail)
	case answer.Status == "":
		return errors.New("the answer is not that of a Duckwire server")
	}
	return nil
}
