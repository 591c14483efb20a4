package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Origins is a set of web origins (RFC 6454). It is safe for concurrent use.
type Origins struct {
	Any   bool // the list contains "*"
	exact map[origin]bool
	wild  []origin
}

// NewOrigins returns the set of a configured list. An entry is one of:
//
//   - scheme://host or scheme://host:port, such as https://app.example.com or app://obsidian.md. Upper case, the
//     scheme's default port and one trailing slash make no difference.
//   - scheme://*.host: every subdomain of host, at any depth, but not host itself.
//   - scheme://*: every host. It is refused for http and https, where "*" is the entry for all pages.
//   - any of these with the port *: every port, and none.
//   - "*": every origin, but without credentials.
//
// Entries that CheckOrigin refuses match nothing.
func NewOrigins(list []string) *Origins {
	o := &Origins{exact: make(map[origin]bool, len(list))}
	for _, entry := range list {
		_ = o.add(entry)
	}
	return o
}

// CheckOrigin returns an error, which names the entry and says why, if an entry of a list cannot match the Origin of
// any browser. "null" is such an entry, because every sandboxed page and local file has that origin.
func CheckOrigin(entry string) error {
	if err := NewOrigins(nil).add(entry); err != nil {
		return fmt.Errorf("%q must be an origin, such as https://app.example.com: %w", entry, err)
	}
	return nil
}

func (o *Origins) add(entry string) error {
	text := strings.TrimSpace(entry)
	if text == "*" {
		o.Any = true
		return nil
	}
	if !strings.HasSuffix(text, "://") {
		text = strings.TrimSuffix(text, "/")
	}
	parsed, err := parseOrigin(text, true)
	if err != nil {
		return err
	}
	if strings.HasPrefix(parsed.host, "*") || parsed.port == "*" {
		o.wild = append(o.wild, parsed)
	} else {
		o.exact[parsed] = true
	}
	return nil
}

// Empty reports whether the list has no entries.
func (o *Origins) Empty() bool { return !o.Any && len(o.exact) == 0 && len(o.wild) == 0 }

// Named reports whether an entry other than "*" matches the value of an Origin header.
func (o *Origins) Named(header string) bool {
	if len(o.exact) == 0 && len(o.wild) == 0 {
		return false
	}
	asked, err := parseOrigin(header, false)
	if err != nil {
		return false
	}
	if o.exact[asked] {
		return true
	}
	for _, entry := range o.wild {
		if entry.matches(asked) {
			return true
		}
	}
	return false
}

// origin is an origin in canonical form. An entry's host may be "*" or begin with "*.", and its port may be "*".
type origin struct {
	scheme, host string
	port         string // "": the scheme's default
}

func (entry origin) matches(asked origin) bool {
	if entry.scheme != asked.scheme || entry.port != "*" && entry.port != asked.port {
		return false
	}
	if suffix, ok := strings.CutPrefix(entry.host, "*"); ok {
		return len(asked.host) > len(suffix) && strings.HasSuffix(asked.host, suffix)
	}
	return entry.host == asked.host
}

// defaultPorts are the ports that browsers leave out of an origin (WHATWG URL §3.2).
var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

// parseOrigin parses scheme://host[:port]. Wildcards are only allowed in a configured entry.
func parseOrigin(text string, entry bool) (origin, error) {
	scheme, authority, ok := strings.Cut(strings.ToLower(text), "://")
	switch {
	case text == "null":
		return origin{}, errors.New("every sandboxed page has the origin null, so it cannot be allowed")
	case !ok || !isScheme(scheme):
		return origin{}, errors.New("it must begin with a scheme and ://")
	}
	switch i := strings.IndexAny(authority, `/\?#@`); {
	case i < 0:
	case authority[i] == '@':
		return origin{}, errors.New("an origin has no user")
	default:
		return origin{}, errors.New("an origin has no path, query or fragment, only scheme, host and port")
	}
	host, port, err := splitAuthority(authority)
	if err != nil {
		return origin{}, err
	}
	o := origin{scheme: scheme}
	if o.port, err = parsePort(port, defaultPorts[scheme], entry); err != nil {
		return origin{}, err
	}
	o.host, err = parseOriginHost(host, entry)
	if err == nil && o.host == "*" && defaultPorts[scheme] != "" {
		err = errors.New(`a host * would be every site; the entry for that is "*", which allows no cookies`)
	}
	if err != nil {
		return origin{}, err
	}
	return o, nil
}

// isScheme reports whether s is a URI scheme in lower case (RFC 3986 §3.1).
func isScheme(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// splitAuthority splits host:port. The port is ":" and what follows, or "".
func splitAuthority(authority string) (host, port string, err error) {
	at := strings.LastIndexByte(authority, ':')
	if end := strings.LastIndexByte(authority, ']'); at < end {
		at = -1 // the colon is part of an IPv6 address
	}
	host = authority
	if at >= 0 {
		host, port = authority[:at], authority[at:]
	}
	if host == "" {
		return "", "", errors.New("it has no host")
	}
	return host, port, nil
}

func parsePort(port, usual string, entry bool) (string, error) {
	if port == "" || entry && port == ":*" {
		return strings.TrimPrefix(port, ":"), nil
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("the port %.20q must be a number from 1 to 65535, or *", port[1:])
	}
	if port = strconv.FormatUint(n, 10); port == usual {
		return "", nil
	}
	return port, nil
}

// parseOriginHost checks a host in lower case, and returns it as browsers write it.
func parseOriginHost(host string, entry bool) (string, error) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !ip.Is6() || ip.Zone() != "" || !strings.HasSuffix(inner, "]") {
			return "", errors.New("the host is no IPv6 address")
		}
		return "[" + ip.String() + "]", nil
	}
	name := host
	if entry {
		if host == "*" {
			return host, nil
		}
		name = strings.TrimPrefix(host, "*.")
	}
	switch bad := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._"); {
	case strings.Contains(bad, "*"):
		return "", errors.New("a wildcard must be the whole host, or its first part as in *.example.com")
	case strings.ContainsFunc(bad, func(r rune) bool { return r > '~' }):
		return "", errors.New("the host must be in ASCII, as browsers send it (xn--…)")
	case bad != "":
		return "", fmt.Errorf("the host has %.20q in it", bad)
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" {
			return "", errors.New("the host has an empty part")
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" { // an IPv4 address (WHATWG URL §3.5)
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is4() || name != host {
			return "", errors.New("the host is no IPv4 address")
		}
	}
	return host, nil
}

// SameHost reports whether origin is the host that the request was sent to. It ignores the scheme: behind a proxy that
// terminates TLS, the server does not know it.
func SameHost(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	port, ok := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return ok && strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(r.Host, port))
}
