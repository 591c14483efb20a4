package proxies_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// proxy is one program in one configuration.
type proxy struct {
	name   string
	config string // of testdata, or a path
	extra  string // lines of the configuration
	run    func(t *testing.T, file, dir string) *process
	icap   bool   // answers go through c-icap
	sample string // a sample configuration, used as the extra lines

	// What disturbs the stream after its first piece has arrived, or would have.
	quiet time.Duration // nobody sends anything for that long
	cut   bool          // the proxy's connection to the server is cut
}

// settings fill the template of a configuration.
type settings struct {
	Addr, Host, Port               string
	Origin, OriginHost, OriginPort string
	Dir, Modules, Extra            string
	Root                           bool // the tests run as root: some programs must then be told which user to become
}

// idleCut is longer than the idle limits of the configurations.
const idleCut = 3 * time.Second

// Lines of nginx's configuration.
const (
	gzipped = "gzip on; gzip_min_length 1; gzip_proxied any; " +
		"gzip_types text/event-stream application/json text/plain application/x-ndjson;"
	buffered = "proxy_ignore_headers X-Accel-Buffering; " +
		"proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; "
)

// hostile are the proxies of the matrix, each with one configuration that is hostile to streams.
var hostile = []proxy{
	{name: "nginx, default", config: "nginx.conf", run: runNginx},
	{
		name: "nginx, hostile buffering", config: "nginx.conf", run: runNginx,
		extra: buffered + gzipped,
	},
	{name: "nginx, idle limit 2 s", config: "nginx.conf", run: runNginx, extra: "proxy_read_timeout 2s;", quiet: idleCut},
	{name: "nginx, HTTP/1.0, server dies", config: "nginx.conf", run: runNginx, cut: true},
	{
		name: "nginx, Last-Event-ID stripped", config: "nginx.conf", run: runNginx,
		extra: `proxy_set_header Last-Event-ID "";`,
	},
	{name: "haproxy, default", config: "haproxy.cfg", run: runHAProxy},
	{
		name: "haproxy, wait-for-body", config: "haproxy.cfg", run: runHAProxy,
		extra: "\thttp-response wait-for-body time 20s",
	},
	{
		name: "haproxy, no upgrade", config: "haproxy.cfg", run: runHAProxy,
		extra: "\thttp-request deny deny_status 403 if { req.hdr(upgrade) -m found }",
	},
	{
		name: "haproxy, idle limit 2 s", config: "haproxy.cfg", run: runHAProxy,
		extra: "\ttimeout server 2s\n\ttimeout tunnel 2s", quiet: idleCut,
	},
	{name: "squid + c-icap", config: "squid.conf", run: runSquid, icap: true},
	{name: "squid, lifetime 2 s", config: "squid.conf", run: runSquid, extra: "client_lifetime 2 seconds", quiet: idleCut},
	{name: "privoxy, filters", config: "privoxy.conf", run: runPrivoxy},
	{name: "lighttpd, default", config: "lighttpd.conf", run: runLighttpd},
}

func runNginx(t *testing.T, file, dir string) *process {
	return start(t, dir, nil, "nginx", "-p", dir, "-e", filepath.Join(dir, "log"), "-c", file)
}

func runHAProxy(t *testing.T, file, dir string) *process {
	return start(t, dir, nil, "haproxy", "-db", "-f", file)
}

func runSquid(t *testing.T, file, dir string) *process {
	return start(t, dir, nil, "squid", "-N", "-f", file)
}

func runPrivoxy(t *testing.T, file, dir string) *process {
	fill(t, "testdata/hold.action", filepath.Join(dir, "hold.action"), settings{})
	return start(t, dir, nil, "privoxy", "--no-daemon", file)
}

func runLighttpd(t *testing.T, file, dir string) *process {
	return start(t, dir, nil, "lighttpd", "-D", "-f", file)
}

// runICAP starts the server to which squid passes all answers, like an antivirus program, and returns squid's
// configuration for it.
func runICAP(t *testing.T) string {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib/*/c_icap/srv_echo.so")
	if err != nil || len(modules) == 0 {
		t.Fatal("c-icap's echo service is not installed: make needs installs it")
	}
	dir, addr := folder(t), freeAddr(t)
	file := filepath.Join(dir, "config")
	fill(t, "testdata/c-icap.conf", file, settings{Addr: addr, Dir: dir, Modules: filepath.Dir(modules[0])})
	p := start(t, dir, nil, "c-icap", "-N", "-f", file)
	p.await(t, dir, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	const lines = "icap_enable on\nicap_service av respmod_precache icap://%s/echo\nadaptation_access av allow all\n"
	return fmt.Sprintf(lines, addr)
}

// start starts the proxy in front of a server, and returns its address.
func (p *proxy) start(t *testing.T, behind string) string {
	t.Helper()
	extra := p.extra
	if p.icap {
		extra += runICAP(t)
	}
	dir, addr := folder(t), freeAddr(t)
	if p.sample != "" {
		extra = inPlace(p.sample, addr, behind)
	}
	s := settings{
		Addr: addr, Origin: behind, Dir: dir, Modules: "/usr/lib/apache2/modules", Extra: extra, Root: os.Getuid() == 0,
	}
	s.Host, s.Port, _ = strings.Cut(addr, ":")
	s.OriginHost, s.OriginPort, _ = strings.Cut(behind, ":")
	file := filepath.Join(dir, "config")
	fill(t, filepath.Join("testdata", p.config), file, s)
	p.run(t, file, dir).await(t, dir, serves(addr))
	return addr
}

// serves returns a condition that is true when the proxy at addr runs, and reaches the server.
func serves(addr string) func() bool {
	client := http.Client{Timeout: hubtest.Hung, Transport: &http.Transport{DisableKeepAlives: true}}
	return func() bool {
		resp, err := client.Get("http://" + addr + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// await waits until a program is ready.
func (p *process) await(t *testing.T, dir string, ready func() bool) {
	t.Helper()
	hubtest.Until(t, p.cmd.Path+" to serve", func() bool {
		select {
		case <-p.ended:
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("%s does not serve:\n%s", p.cmd.Path, tail(p.said.String()+string(log)))
		default:
		}
		return ready()
	})
}

// tail returns the end of a log, about as much as a screen shows.
func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// folder returns a folder in which a program that has given up root can also write.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duckwire-proxy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fill writes a configuration.
func fill(t *testing.T, source, target string, s settings) {
	t.Helper()
	config, err := template.ParseFiles(source)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(target)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := config.Execute(f, s); err != nil {
		t.Fatal(err)
	}
}
