package middleware_test

import (
	"net/http"
	"testing"

	"github.com/duckwire/duckwire/middleware"
)

func TestClientOf(t *testing.T) {
	trusting, err := middleware.ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		proxies   *middleware.Proxies
		peer      string
		forwarded []string
		want      string
	}{
		{"no proxies", nil, "198.51.100.1:5", []string{"203.0.113.1"}, "198.51.100.1"},
		{"a peer that is no proxy", trusting, "198.51.100.1:5", []string{"203.0.113.1"}, "198.51.100.1"},
		{"a proxy", trusting, "10.1.2.3:5", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a proxy that is one address", trusting, "192.0.2.7:5", []string{"203.0.113.1"}, "203.0.113.1"},
		{"its neighbour", trusting, "192.0.2.8:5", []string{"203.0.113.1"}, "192.0.2.8"},
		{"a proxy over IPv6", trusting, "[2001:db8:ffff::1]:5", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a proxy whose address is mapped", trusting, "[::ffff:10.1.2.3]:5", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a chain", trusting, "10.1.2.3:5", []string{"1.2.3.4, 203.0.113.1 , 10.0.0.9,192.0.2.7"}, "203.0.113.1"},
		{
			"a chain over several lines", trusting, "10.1.2.3:5",
			[]string{"1.2.3.4", "203.0.113.1", "10.0.0.9"},
			"203.0.113.1",
		},
		{"with a port", trusting, "10.1.2.3:5", []string{"203.0.113.1:443"}, "203.0.113.1"},
		{"with a port, IPv6", trusting, "10.1.2.3:5", []string{"[2001:db8::1]:443"}, "2001:db8::/64"},
		{"in brackets", trusting, "10.1.2.3:5", []string{"[2001:db8::1]"}, "2001:db8::/64"},
		{"a zone", trusting, "10.1.2.3:5", []string{"fe80::1%eth0"}, "fe80::/64"},
		{"nonsense", trusting, "10.1.2.3:5", []string{"203.0.113.1, unknown"}, "10.1.2.3"},
		{"nothing between commas", trusting, "10.1.2.3:5", []string{"203.0.113.1, , "}, "10.1.2.3"},
		{"no header", trusting, "10.1.2.3:5", nil, "10.1.2.3"},
		{"proxies alone", trusting, "10.1.2.3:5", []string{"10.0.0.9, 10.0.0.8"}, "10.0.0.9"},
		{"IPv6", nil, "[2001:db8:1:2:3:4:5:6]:5", nil, "2001:db8:1:2::/64"},
		{"this machine", nil, "127.0.0.1:5", []string{"203.0.113.1"}, ""},
		{"this machine over IPv6", nil, "[::1]:5", nil, ""},
		{"this machine through a proxy on it", trusting, "127.0.0.1:5", []string{"127.0.0.1"}, ""},
		{"somebody through a proxy on this machine", trusting, "127.0.0.1:5", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a Unix socket", trusting, "@", []string{"203.0.113.1"}, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := c.proxies.ClientOf(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParseProxiesRefuses(t *testing.T) {
	for _, text := range []string{"", "proxy.example", "10.0.0.0/33", "10.0.0.1:80", "*"} {
		if _, err := middleware.ParseProxies([]string{"10.0.0.1", text}); err == nil {
			t.Errorf("%q is taken for an address", text)
		}
	}
}
