package doctor

import (
	"net"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/storage/redis/redistest"
)

func lookAtRedis(t *testing.T, url string) *Report {
	t.Helper()
	r := &Report{}
	(&Local{RedisURL: url}).checkRedis(t.Context(), r)
	if strings.Contains(text(t, r), "guess-1234") {
		t.Errorf("the password is shown:\n%s", text(t, r))
	}
	return r
}

func TestRedisSettings(t *testing.T) {
	t.Parallel()
	good := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "1gb",
		"--maxmemory-policy", "noeviction")
	r := lookAtRedis(t, good.URL())
	holds(t, r, "redis", Fine, "version 7")
	if r.Level() != Fine {
		t.Error(text(t, r))
	}
	good.Command("CONFIG", "SET", "appendfsync", "everysec")
	holds(t, lookAtRedis(t, good.URL()), "redis", Warning, "everysec")
	good.Command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	holds(t, lookAtRedis(t, good.URL()), "redis", Broken, "allkeys-lru")
	good.Command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1000")
	holds(t, lookAtRedis(t, good.URL()), "redis", Broken, "it is full")
	r = lookAtRedis(t, redistest.Start(t).URL())
	holds(t, r, "redis", Warning, "nothing on disk")
	holds(t, r, "redis", Warning, "no limit")
}

func TestRedisReplicas(t *testing.T) {
	t.Parallel()
	master, replica := redistest.Start(t), redistest.Start(t)
	replica.Follow(master)
	look := func(replicas int) *Report {
		r := &Report{}
		(&Local{RedisURL: master.URL(), RedisReplicas: replicas}).checkRedis(t.Context(), r)
		return r
	}
	holds(t, look(0), "redis", Warning, "may become the master")
	holds(t, look(2), "redis", Broken, "asks for 2")
	for _, f := range look(1).Findings {
		if strings.Contains(f.Found, "redis_replicas") {
			t.Errorf("%+v", f)
		}
	}
}

func TestRedisRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	at := "@127.0.0.1:" + server.Port
	for user, rules := range map[string]string{
		"duckwire": "~dw:* &dw:* +@all -@admin -@dangerous +info", "deaf": "~dw:* resetchannels +@all",
		"foreign": "~other:* &* +@all", "reader": "~dw:* &dw:* +@read +info +time +@connection +@pubsub",
	} {
		server.Command(append([]string{"ACL", "SETUSER", user, "on", ">guess-1234"}, strings.Fields(rules)...)...)
	}
	r := lookAtRedis(t, "redis://duckwire:guess-1234"+at)
	holds(t, r, "redis", Skipped, "CONFIG GET")
	for _, f := range r.Findings {
		if f.Level == Broken {
			t.Error(text(t, r))
		}
	}
	for _, user := range []string{"deaf", "foreign", "reader"} {
		holds(t, lookAtRedis(t, "redis://"+user+":guess-1234"+at), "redis", Broken, "may not do")
	}
	holds(t, lookAtRedis(t, "redis://nobody:guess-1234"+at), "redis", Broken, "WRONGPASS")
	server.Kill()
	holds(t, lookAtRedis(t, "redis://duckwire:guess-1234"+at), "redis", Broken, "refused")
	holds(t, lookAtRedis(t, "http://:guess-1234"+at), "redis", Broken, "scheme")
}

// TestRedisThatIsDeaf: a server that accepts the connection and does not answer leads to a timeout.
func TestRedisThatIsDeaf(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	holds(t, lookAtRedis(t, "redis://:guess-1234@"+ln.Addr().String()), "redis", Broken, "deadline")
}

func TestTrustedProxies(t *testing.T) {
	r := &Report{}
	(&Local{}).checkProxies(r)
	(&Local{Proxies: []string{"10.0.0.0/8", "::1"}}).checkProxies(r)
	if r.Level() != Fine {
		t.Error(text(t, r))
	}
	(&Local{Proxies: []string{"10.0.0.1", "0.0.0.0/0"}}).checkProxies(r)
	holds(t, r, "proxies", Warning, "0.0.0.0/0 is everybody")
}
