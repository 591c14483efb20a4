package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies is the set of proxies whose X-Forwarded-For is trusted. With a nil Proxies that header is ignored.
type Proxies struct {
	trusted []netip.Prefix
	unix    bool // peers of a Unix socket, which have no address
}

// ParseProxies parses addresses and networks, such as 10.0.0.7 and 10.0.0.0/8, and "unix" for the peers of a Unix
// socket. The error names the entry that is none of these.
func ParseProxies(list []string) (*Proxies, error) {
	p := &Proxies{}
	for _, text := range list {
		if text == "unix" {
			p.unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				const form = "%.100q must be an address or a network, such as 10.0.0.7 or 10.0.0.0/8, or unix"
				return nil, fmt.Errorf(form, text)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

// Trusts reports whether addr is a trusted proxy. The zero Addr is a peer of a Unix socket.
func (p *Proxies) Trusts(addr netip.Addr) bool {
	if p == nil {
		return false
	}
	if !addr.IsValid() {
		return p.unix
	}
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// ClientOf returns the key under which limits by address count a request: the connection's peer or, if that is a
// trusted proxy, the last address of X-Forwarded-For that is not a trusted proxy. Entries before that one were written
// by the client and are not trusted. An IPv6 address counts as its /64 network, since one client usually has all of it.
//
// "" exempts the request: limits by address do not apply to loopback addresses. Such a request comes from the machine's
// owner, or from a proxy that is not configured as trusted, behind which all clients would share one limit.
func (p *Proxies) ClientOf(r *http.Request) string {
	addr := PeerAddr(r.RemoteAddr)
	if p.Trusts(addr) {
		addr = p.behind(addr, r.Header.Values("X-Forwarded-For"))
	}
	return AddrKey(addr)
}

// AddrKey returns the key under which an address is counted; "" means it is not counted.
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

// behind walks X-Forwarded-For from its end, beginning with the connected proxy addr, to the first untrusted address.
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
			if !next.IsValid() { // not an address: all clients behind the last known proxy share its limit
				return addr
			}
			if addr = next; !p.Trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

// PeerAddr parses an address with or without a port. It returns the zero Addr for anything else, such as a Unix
// socket's peer.
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
