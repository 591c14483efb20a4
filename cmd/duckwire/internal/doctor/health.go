package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// localURL returns the URL at which a client on this machine reaches a server that listens on addr.
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

// checkHealth checks a response of /healthz or /readyz. It also checks the body, since other programs may answer with
// 200, too.
func checkHealth(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	var answer struct{ Status, Detail string }
	_ = json.Unmarshal(body, &answer) // another server's body leaves Status empty
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s", resp.Status, answer.Detail)
	case answer.Status == "":
		return errors.New("the answer is not that of a Duckwire server")
	}
	return nil
}
