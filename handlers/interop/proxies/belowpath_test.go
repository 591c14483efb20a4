package proxies_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestBelowAPath runs the examples of web/docs/proxies.md for a server below /duck: a stream's Location leads back
// through the proxy, events arrive, and the pages' files do.
func TestBelowAPath(t *testing.T) {
	hubtest.Full(t, "proxies")
	page, err := os.ReadFile("../../../web/docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	example := func(language string) string {
		block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
		if block == nil {
			t.Fatalf("the page has no example in %s", language)
		}
		return string(block[1])
	}
	const connection = "map $http_upgrade $duckwire_connection {\n\tdefault upgrade;\n\t\"\" \"\";\n}\n"
	for _, c := range []struct {
		proxy   proxy
		setting string
		site    string
	}{
		{
			proxy{name: "nginx", config: "nginx-site.conf", run: runNginx},
			"DUCKWIRE_BASE_PATH=/duck",
			connection + "upstream duckwire { server duckwire:4000; }\n" +
				"server {\nlisten 8080;\n" + example("nginx") + "}\n",
		},
		{
			proxy{name: "Caddy", config: "caddy-site", run: runCaddy},
			"DUCKWIRE_TRUSTED_PROXIES=127.0.0.1",
			"\n:8080 {\n" + example("caddyfile") + "}\n",
		},
	} {
		t.Run(c.proxy.name, func(t *testing.T) {
			t.Parallel()
			o := startOrigin(t, c.setting)
			dir, addr := folder(t), freeAddr(t)
			file := filepath.Join(dir, "config")
			fill(t, filepath.Join("testdata", c.proxy.config), file, settings{
				Addr: addr, Origin: o.addr, Dir: dir, Extra: inPlace(c.site, addr, o.addr), Root: os.Getuid() == 0,
			})
			c.proxy.run(t, file, dir).await(t, dir, serves(addr+"/duck"))
			below := newCaller(t, addr+"/duck", o.token)
			resp, err := below.do("POST", "/v1/streams", map[string]string{"kind": "x"})
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			to, ok := strings.CutPrefix(resp.Header.Get("Location"), "/duck")
			if !ok {
				t.Fatalf("Location %q", resp.Header.Get("Location"))
			}
			for _, path := range []string{to, "/", "/docs", "/docs/docs.js", "/console/main.js", "/openapi.yaml"} {
				resp, err := below.do("GET", path, nil)
				if err != nil {
					t.Error(err)
					continue
				}
				resp.Body.Close()
			}
			resp, err = http.Get(fmt.Sprintf("http://%s/duck?x=1", addr))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if to := resp.Request.URL.Path; resp.StatusCode != http.StatusOK || to != "/duck/" {
				t.Errorf("/duck leads to %s, %s", to, resp.Status)
			}
		})
	}
}
