package doctor

import (
	"net/netip"
	"strings"
)

// checkProxies checks whose X-Forwarded-For is trusted.
func (l *Local) checkProxies(r *Report) {
	const check = "proxies"
	bad := false
	for _, text := range l.Proxies {
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil && p.Bits() == 0 {
			bad = true
			r.Warn(check, "name your proxies' own addresses in trusted_proxies",
				"%s is everybody: any client may say that it is another, and limits by address hold nobody", text)
		}
	}
	switch {
	case bad:
	case len(l.Proxies) == 0:
		r.Fine(check,
			"nobody is believed who tells another address (trusted_proxies is not set); behind a proxy, all clients "+
				"count as that")
	default:
		r.Fine(check, "%s may tell a client's address", strings.Join(l.Proxies, ", "))
	}
}
