package bench

import (
	"context"
	"fmt"
	"os"
)

// RouteServers are the processes of a run with completions. All of them run until its end.
type RouteServers struct {
	Upstream Command
	Proxy    func(upstream string) Command // upstream is a URL
	Duckwire func(upstream, dir string) Command
	Token    string // for Duckwire
}

// Run starts the servers, measures the routes through them, and stops the servers.
func (s *RouteServers) Run(ctx context.Context, load *Completions) (*RoutesReport, error) {
	dir, err := os.MkdirTemp("", "duckwire-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var routes []Route
	defer func() {
		for _, r := range routes {
			r.Target.Stop()
		}
	}()
	add := func(name string, c Command) (url string, err error) {
		c.Dir = dir
		target, err := start(ctx, c, s.Token)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		routes = append(routes, Route{name, target})
		return "http://" + target.Addr(), nil
	}
	upstream, err := add(RouteDirect, s.Upstream)
	if err != nil {
		return nil, err
	}
	if _, err := add(RouteProxy, s.Proxy(upstream)); err != nil {
		return nil, err
	}
	if _, err := add(RouteDuckwire, s.Duckwire(upstream, dir)); err != nil {
		return nil, err
	}
	return load.Run(ctx, routes)
}
