package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// MasterName is the sentinel's name of its master.
const MasterName = "the-master"

// StartSentinel starts a sentinel (redis-server in another role) that monitors a master, and returns its address. Soon
// after the master is gone, the sentinel promotes a replica.
func StartSentinel(t testing.TB, master *Server) (address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "duckwire-sentinel-")
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	config := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %s 1\n", port, dir, MasterName,
		master.Port)
	text += fmt.Sprintf("sentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 5000\n", MasterName,
		MasterName)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", config, "--sentinel")
	cmd.SysProcAttr = hubtest.ProcAttr()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); os.RemoveAll(dir) })
	address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	hubtest.Until(t, "the sentinel to know a replica", func() bool {
		out, err := exec.Command("redis-cli", "-p", strconv.Itoa(port), "SENTINEL", "REPLICAS", MasterName).Output()
		return err == nil && len(out) > 1
	})
	return address
}
