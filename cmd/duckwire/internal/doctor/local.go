package doctor

import (
	"context"
	"net/http"
	"time"
)

// Local examines this machine and the configuration with which a server would start.
type Local struct {
	Addr    string
	DataDir string
	TLSCert string
	TLSKey  string

	ConfigFile     string // path of the configuration file; "": none
	SecretsInFile  bool   // ConfigFile contains secrets
	Dev            bool
	AllowedOrigins []string

	JWTSecret     string
	Audience      string // required aud; "": not checked
	JWKSURL       string
	AuthorizeURL  string
	RedisURL      string // "": one node
	RedisPrefix   string
	RedisReplicas int
	Proxies       []string   // trusted_proxies
	Upstreams     []Upstream // none: the built-in completer
	Deep          bool       // also request a completion of one token, which may cost money

	Connections int
	LogMemory   int64 // bytes
	JobBytes    int64 // bytes
}

// askTimeout is the timeout of each request to another server.
const askTimeout = 10 * time.Second

// Examine runs all checks. It removes what it writes.
func (l *Local) Examine(ctx context.Context, r *Report) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	defer tr.CloseIdleConnections()
	clocks := &clocks{next: tr, begun: time.Now()}
	client := &http.Client{Transport: clocks, Timeout: askTimeout}
	l.checkFile(r)
	l.checkTokens(r)
	l.checkOrigins(r)
	l.checkDev(r)
	l.checkCertificate(r, time.Now())
	l.checkPort(ctx, r)
	l.checkProxies(r)
	l.checkData(r)
	l.checkFiles(r)
	l.checkMemory(r)
	l.checkKeySet(ctx, r, client)
	l.checkAuthorizer(ctx, r, client)
	l.checkUpstreams(ctx, r, client)
	l.checkRedis(ctx, r)
	clocks.check(r)
}
