package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"time"
)

// soon is the time before a certificate's end from which on a warning is given. ACME clients usually renew 30 days
// ahead.
const soon = 14 * 24 * time.Hour

// checkCertificate checks the TLS files.
func (l *Local) checkCertificate(r *Report, now time.Time) {
	const check = "certificate"
	if l.TLSCert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(l.TLSCert, l.TLSKey)
	if err != nil {
		r.Broken(check,
			"give PEM files of one certificate and its key in tls_cert and tls_key, readable by the server's user",
			"%s and %s cannot be used: %v", l.TLSCert, l.TLSKey, err)
		return
	}
	if info, err := os.Stat(l.TLSKey); err == nil && info.Mode().Perm()&0o004 != 0 {
		r.Warn(check, "chmod o-rwx "+l.TLSKey, "everybody on this machine may read the private key %s", l.TLSKey)
	}
	if len(pair.Certificate) == 1 && pair.Leaf.Issuer.String() != pair.Leaf.Subject.String() {
		r.Warn(check, "put the intermediate certificates behind the server's own in "+l.TLSCert,
			"%s holds no chain: clients that do not know its issuer %q refuse it", l.TLSCert,
			pair.Leaf.Issuer.CommonName)
	}
	checkExpiry(r, check, pair.Leaf, now)
}

// checkExpiry checks a certificate's validity period.
func checkExpiry(r *Report, check string, cert *x509.Certificate, now time.Time) {
	names := certificateNames(cert)
	switch left := cert.NotAfter.Sub(now); {
	case left <= 0:
		r.Broken(check, "renew it; the server reads the files again by itself", "the certificate of %s ended on %s",
			names, day(cert.NotAfter))
	case now.Before(cert.NotBefore):
		r.Broken(check, "set this machine's clock, or take the certificate that holds now",
			"the certificate of %s holds only from %s on", names, day(cert.NotBefore))
	case left < soon:
		r.Warn(check, "see why it was not renewed; the server reads the files again by itself",
			"the certificate of %s ends on %s", names, day(cert.NotAfter))
	default:
		r.Fine(check, "for %s, until %s", names, day(cert.NotAfter))
	}
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func certificateNames(cert *x509.Certificate) string {
	names := cert.DNSNames
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return cert.Subject.String()
	}
	return strings.Join(names, ", ")
}
