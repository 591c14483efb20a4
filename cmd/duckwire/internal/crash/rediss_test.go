package crash_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// aclUser returns the ACL rules that the README documents for the Redis user.
func aclUser(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`ACL SETUSER (duckwire .*)`).FindSubmatch(readme)
	if rules == nil {
		t.Fatal("the README has no ACL SETUSER")
	}
	return strings.Fields(strings.ReplaceAll(string(rules[1]), "…", "secret"))
}

// TestTLSAndACL runs two nodes on a Redis that only accepts TLS, as a user with only the rights that the README
// documents.
func TestTLSAndACL(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	server, certificate := redistest.StartTLS(t)
	server.Command(append([]string{"ACL", "SETUSER"}, aclUser(t)...)...)
	server.Command("ACL", "SETUSER", "default", "resetpass", ">another")
	at := "127.0.0.1:" + server.Port
	a := newServer(t, "DUCKWIRE_REDIS_URL=rediss://duckwire:secret@"+at, "SSL_CERT_FILE="+certificate)
	b := newServer(t, "DUCKWIRE_REDIS_URL=rediss://duckwire:secret@"+at, "SSL_CERT_FILE="+certificate)
	a.start()
	b.start()
	ca, cb := a.client("owner"), b.client("owner")
	if status, answer := ca.call("POST", "/v1/streams", `{"id":"s0"}`, nil); status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	if status, answer := cb.call("POST", "/v1/streams/s0/append", "text", nil, "Content-Type", "text/plain",
		"Stream-Closed", "true"); status != http.StatusOK {
		t.Error(status, answer)
	}
	hubtest.Until(t, "the stream to be done on both nodes", func() bool {
		_, here := ca.call("GET", "/v1/streams/s0", "", nil, "Accept", "application/json")
		_, there := cb.call("GET", "/v1/streams/s0", "", nil, "Accept", "application/json")
		return strings.Contains(here, `"done"`) && strings.Contains(there, `"done"`) &&
			strings.Contains(there, `"text"`)
	})
	for path, body := range map[string]string{
		"/v1/topics/room/events":   `{"event":"e","payload":{}}`,
		"/v1/users/owner/messages": `{"event":"e","payload":{}}`, "/v1/users/eve/disconnect": "",
		"/v1/revocations": `{"user":"eve"}`,
	} {
		if status, answer := ca.call("POST", path, body, nil); status >= 300 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	for path, want := range map[string]string{
		"/v1/topics/room/events?after=0": `"e"`, "/v1/users/me/messages": `"e"`,
		"/v1/revocations": "eve",
	} {
		hubtest.Until(t, path+" to have it on the other node", func() bool {
			_, answer := cb.call("GET", path, "", nil)
			return strings.Contains(answer, want)
		})
	}
	if log := server.Command("ACL", "LOG"); strings.Contains(log, "reason") {
		t.Errorf("Redis refused:\n%s", log)
	}
	a.stop()
	b.stop()
}

// TestRedisRefuses starts nodes that Redis rejects: they exit immediately with an error that names the setting and does
// not contain the password.
func TestRedisRefuses(t *testing.T) {
	hubtest.Full(t, "redis-server")
	t.Parallel()
	server, certificate := redistest.StartTLS(t)
	server.Command(append([]string{"ACL", "SETUSER"}, aclUser(t)...)...)
	at := "127.0.0.1:" + server.Port
	for name, one := range map[string]struct{ url, file string }{
		"a wrong password":                      {"rediss://duckwire:guess-1234@" + at, certificate},
		"a certificate that nobody vouches for": {"rediss://duckwire:guess-1234@" + at, "/dev/null"},
		"no TLS":                                {"redis://duckwire:guess-1234@" + at, certificate},
	} {
		s := newServer(t, "DUCKWIRE_REDIS_URL="+one.url, "SSL_CERT_FILE="+one.file)
		cmd, log := s.command()
		err := cmd.Run()
		if err == nil || !strings.Contains(log.String(), "redis_url") || strings.Contains(log.String(), "guess-1234") {
			t.Errorf("%s: %v, %s", name, err, testnet.Tail(log.String()))
		}
	}
}
