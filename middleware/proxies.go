package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the proxies whose X-Forwarded-For is believed. Nil is none: then that header is not even read.
type Proxies struct{ trusted []netip.Prefix }

// ParseProxies reads addresses and networks, such as 10.0.0.7 and 10.0.0.0/8. The error names what is neither.
func ParseProxies(list []string) (*Proxies, error) {
	p := &Proxies{}
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%.100q must be an address or a network, such as 10.0.0.7 or 10.0.0.0/8", text)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

// Trusts reports whether a proxy of this address is believed.
func (p *Proxies) Trusts(addr netip.Addr) bool {
	if p == nil {
		return false
	}
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// ClientOf returns whom limits by address count a request for: the peer of the connection or, where that is a trusted proxy, the last address of
// X-Forwarded-For that is none. What stands before that is the client's own word. An IPv6 client is its network of 64 bits: it has all of it.
//
// "" is nobody: limits by address do not hold for this machine itself. What comes from there is its owner, or a proxy that nobody has named and
// behind which everybody would share one address.
func (p *Proxies) ClientOf(r *http.Request) string {
	addr := PeerAddr(r.RemoteAddr)
	if p.Trusts(addr) {
		addr = p.behind(addr, r.Header.Values("X-Forwarded-For"))
	}
	return AddrKey(addr)
}

// AddrKey names what an address is counted as; "" is not at all.
func AddrKey(addr netip.Addr) string {
	if !addr.IsValid() || addr.IsLoopback() {
		return ""
	}
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}

// behind goes back over the proxies that passed a request on, beginning with the one that is connected.
func (p *Proxies) behind(addr netip.Addr, lines []string) netip.Addr {
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for rest != "" {
			var hop string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, hop = rest[:at], rest[at+1:]
			} else {
				rest, hop = "", rest
			}
			next := PeerAddr(strings.TrimSpace(hop))
			if !next.IsValid() { // a trusted proxy wrote no address: the last that is known stands for all behind it
				return addr
			}
			if addr = next; !p.Trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

// PeerAddr reads an address, with or without a port. What is none, such as the peer of a Unix socket, is the zero Addr.
func PeerAddr(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
