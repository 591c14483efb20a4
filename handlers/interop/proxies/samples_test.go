package proxies_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// samples are the sample configurations, each with what the program also needs to run in this test.
var samples = []struct {
	file  string // of cmd/duckwire/deploy
	proxy proxy
}{
	{"nginx.conf", proxy{name: "nginx", config: "nginx-site.conf", run: runNginx}},
	{"haproxy.cfg", proxy{name: "haproxy", config: "site", run: runHAProxy}},
	{"Caddyfile", proxy{name: "Caddy", config: "caddy-site", run: runCaddy}},
	{"apache.conf", proxy{name: "Apache", config: "apache-site.conf", run: runApache}},
}

func runCaddy(t *testing.T, file, dir string) *process {
	home := []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	return start(t, dir, home, "caddy", "run", "--adapter", "caddyfile", "--config", file)
}

// runApache runs Apache as one process. As a service it would leave our process group.
func runApache(t *testing.T, file, dir string) *process {
	return start(t, dir, nil, "apache2", "-X", "-f", file)
}

// TestSamples checks the sample configurations: every rung is live, and our client needs no fallback.
func TestSamples(t *testing.T) {
	t.Parallel()
	o := prepare(t)
	t.Run("proxies", func(t *testing.T) {
		for _, s := range samples {
			t.Run(s.proxy.name, func(t *testing.T) {
				t.Parallel()
				text, err := os.ReadFile(filepath.Join("../../../cmd/duckwire/deploy", s.file))
				if err != nil {
					t.Fatal(err)
				}
				s.proxy.sample = string(text)
				s.proxy.judge(t, o, allLive, (*row).holdOpen)
			})
		}
	})
}

// holdOpen notes a fault for each rung that is not live.
func (l *row) holdOpen() {
	l.hold()
	for _, name := range columns() {
		if r := l.results[name]; !r.works || !r.live || r.resumed {
			l.fault("%s: %v: %s", name, r, r.why)
		}
	}
	if l.ladder.Rung != "websocket" || !l.header {
		l.fault("our client is at %q; Last-Event-ID arrives: %t", l.ladder.Rung, l.header)
	}
}

// inPlace inserts addresses into a sample: where it listens, and where the server is.
func inPlace(sample, addr, behind string) string {
	port := addr[strings.IndexByte(addr, ':'):]
	return strings.NewReplacer(
		"listen 8080", "listen "+addr, // nginx
		"bind :8080", "bind "+addr, // HAProxy
		"\n:8080", "\n"+port, // Caddy
		"*:8080", "*"+port, // Apache
		"duckwire:4000", behind,
	).Replace(sample)
}
