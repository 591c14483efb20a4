package doctor

import (
	"context"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub/provider/openai"
)

// Local is what a server would start with, and where.
type Local struct {
	Addr    string
	DataDir string
	TLSCert string
	TLSKey  string

	ConfigFile     string // of settings; "": none
	SecretsInFile  bool   // some of the settings in it are secret
	Dev            bool
	AllowedOrigins []string

	JWTSecret     string
	Audience      string // that tokens must have; "": not checked
	JWKSURL       string
	AuthorizeURL  string
	RedisURL      string // "": one node
	RedisPrefix   string
	RedisReplicas int
	Proxies       []string       // trusted_proxies
	Upstream      openai.Options // without a BaseURL: the built-in completer
	Deep          bool           // also what costs something: a tiny completion

	Connections int
	LogMemory   int64 // bytes
	JobBytes    int64 // bytes
}

// askTimeout bounds each question to another server.
const askTimeout = 10 * time.Second

// Examine looks at everything. What it writes it takes away again.
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
	l.checkUpstream(ctx, r, client)
	l.checkRedis(ctx, r)
	clocks.check(r)
}
