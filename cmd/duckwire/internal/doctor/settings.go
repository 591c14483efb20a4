package doctor

import (
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
)

// checkFile checks whether other users may read the configuration's secrets.
func (l *Local) checkFile(r *Report) {
	if !l.SecretsInFile {
		return
	}
	info, err := os.Stat(l.ConfigFile)
	if err != nil {
		return // unlikely: the configuration was just read
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		r.Warn("secrets", "chmod 600 "+l.ConfigFile+", or give secrets by the environment",
			"%s holds secrets, and others than its owner may read it (mode %03o)", l.ConfigFile, mode)
		return
	}
	r.Fine("secrets", "only its owner may read %s", l.ConfigFile)
}

// checkOrigins checks for allowed origins that are too broad or not encrypted.
func (l *Local) checkOrigins(r *Report) {
	const check = "origins"
	if len(l.AllowedOrigins) == 0 {
		r.Fine(check, "pages of the server's own host only (allowed_origins is not set)")
		return
	}
	bad := false
	for _, o := range l.AllowedOrigins {
		u, err := url.Parse(strings.TrimSuffix(o, ":*")) // net/url knows no port *
		switch {
		case o == "*":
			bad = true
			r.Warn(check, "name your application's origins in allowed_origins",
				"* lets pages of every site connect, with any token that they have got hold of")
		case err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()):
			bad = true
			r.Warn(check, "serve that application by https, and allow that origin",
				"%s is not encrypted: whoever is on the way can be that page", o)
		}
	}
	if !bad {
		r.Fine(check, "%s", strings.Join(l.AllowedOrigins, ", "))
	}
}

// checkDev checks for a development server that other machines can reach, whose token allows everything, and for a
// server without TLS.
func (l *Local) checkDev(r *Report) {
	if _, ok := address.Unix(l.Addr); ok {
		return // only this machine reaches it
	}
	host, _, _ := net.SplitHostPort(l.Addr)
	switch {
	case l.Dev && !isLoopback(host):
		r.Warn("dev", "set jwt_secret, jwt_public_key, jwks_url or api_keys in place of dev, or listen on 127.0.0.1",
			"dev is set, and the server listens on %s, which other machines can reach", l.Addr)
	case !isLoopback(host) && l.TLSCert == "":
		r.Warn("tls", "set tls_cert and tls_key, or listen on 127.0.0.1 behind a proxy that has a certificate",
			"the server listens on %s without TLS: tokens can be read on the way, unless a proxy is the only one "+
				"that can reach it", l.Addr)
	}
}

// isLoopback reports whether only this machine can reach host. "" stands for all interfaces.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
