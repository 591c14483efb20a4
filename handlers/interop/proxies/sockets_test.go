package proxies_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

var socketRungs = []string{"WebSocket", "SSE socket", "SSE socket, padded", "long-poll socket"}

// nodeSettings is the input of the scripts for Node.js.
type nodeSettings struct {
	Base    string   `json:"base"`
	Origin  string   `json:"origin"`
	Token   string   `json:"token"`
	Pieces  []string `json:"pieces"`
	Quiet   int64    `json:"quiet"`   // ms
	Control string   `json:"control"` // of the relay that is to cut; "" without

	Patience map[string]int64 `json:"patience"` // ms, for the first piece of each rung

	// For our own client.
	User     string         `json:"user"`
	Client   string         `json:"client"`   // a module
	Question map[string]any `json:"question"` // a completion
	Answer   string         `json:"answer"`   // its text
}

// nodeResult is what the scripts print about each rung.
type nodeResult struct {
	Works, Live, Resumed bool
	First                float64 // ms
	Why                  string
}

// checkPackages checks that the clients' npm packages are those of the lock file.
func checkPackages(t *testing.T) {
	t.Helper()
	lock, err := os.ReadFile("../package-lock.json")
	had, err2 := os.ReadFile("../node_modules/.installed")
	if err := errors.Join(err, err2); err != nil || !bytes.Equal(lock, had) {
		t.Fatalf("the npm packages are not installed: make packages does it (%v)", err)
	}
}

// useSockets runs the official Phoenix client through a proxy.
func useSockets(ctx context.Context, o *origin, s *nodeSettings) (map[string]result, error) {
	out := map[string]nodeResult{}
	if err := runNode(ctx, o, "sockets.mjs", s, &out); err != nil {
		return nil, err
	}
	results := map[string]result{}
	for name, r := range out {
		first := time.Duration(r.First * float64(time.Millisecond))
		results[name] = result{works: r.Works, live: r.Live, resumed: r.Resumed, first: first, why: r.Why}
	}
	return results, nil
}

// runNode runs a script to its end, and decodes the JSON in its last line.
func runNode(ctx context.Context, o *origin, script string, s *nodeSettings, answer any) error {
	told, err := json.Marshal(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*hubtest.Hung)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script, string(told))
	cmd.Env = append(os.Environ(), "DUCKWIRE_BIN="+o.binary, "NODE_NO_WARNINGS=1")
	cmd.SysProcAttr = procAttr()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("node %s: %w\n%s%s", script, err, out, said.String())
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n")) // the Phoenix client also logs to stdout
	if err := json.Unmarshal(lines[len(lines)-1], answer); err != nil {
		return fmt.Errorf("node %s: %w\n%s%s", script, err, out, said.String())
	}
	return nil
}
