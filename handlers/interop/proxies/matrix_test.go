// Package proxies_test holds the server to what real proxies do to streams: each is started, as a hostile administrator has configured it, in
// front of the real binary. web/docs/proxies.md has the table that comes out.
package proxies_test

import (
	"testing"
	"time"
)

// TestMatrix reads through each proxy by each rung.
func TestMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("real proxies are left out by -short: they are programs to install, and take half a minute")
	}
	o := startOrigin(t)
	direct := newCaller(t, o.addr, o.token)
	for _, p := range hostile {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, o.addr)
			through := newCaller(t, p.start(t, r.addr), o.token)
			results := readAll(direct, through, func() {
				time.Sleep(p.quiet)
				if p.cut {
					r.cut()
				}
			})
			for _, how := range restRungs {
				t.Log(how.name, results[how.name], results[how.name].first, results[how.name].why)
			}
		})
	}
}
