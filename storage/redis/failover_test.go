package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestAddressThatMoves moves the address of a Redis to another master, while the old one, whose connections stay open,
// becomes its replica: nodes reconnect by themselves.
func TestAddressThatMoves(t *testing.T) {
	old := startRedis(t)
	next := redistest.Start(t)
	c := startCluster(t, 2, old)
	next.Follow(old)
	r := c.read(1, log.Position{})
	defer r.reader.Close()
	c.tell(0, "p", 0)
	r.until(func() bool { return r.seen["p"] == 1 })
	next.CatchUp(old)
	next.Command("REPLICAOF", "NO", "ONE")
	old.Command("REPLICAOF", "127.0.0.1", next.Port)
	c.moveTo(next)
	for n := range 3 {
		c.tell(n%2, "q", n)
	}
	r.until(func() bool { return r.seen["q"] == 3 })
	if len(r.resets) > 0 {
		t.Errorf("resets: %v", r.resets)
	}
}

// TestSentinels kills the master: the sentinels promote the replica, and nodes connect to it by themselves.
func TestSentinels(t *testing.T) {
	master := startRedis(t)
	replica := redistest.Start(t)
	replica.Follow(master)
	sentinels := redistest.StartSentinel(t, master)
	url := "redis+sentinel://" + sentinels + "/" + redistest.MasterName
	c := &cluster{t: t}
	for range 2 {
		h := hub.New(hub.Options{Topics: open(t, redis.Options{URL: url, Timeout: 2 * time.Second})})
		t.Cleanup(h.Close)
		c.hubs = append(c.hubs, h)
	}
	r := c.read(1, log.Position{})
	defer r.reader.Close()
	c.tell(0, "p", 0)
	r.until(func() bool { return r.seen["p"] == 1 })
	replica.CatchUp(master)
	master.Kill()
	for n := range 3 {
		c.tell(n%2, "q", n)
	}
	r.until(func() bool { return r.seen["q"] == 3 })
	if info := replica.Command("INFO", "replication"); !strings.Contains(info, "role:master") {
		t.Errorf("the replica is no master: %s", info)
	}
}

func TestSentinelURLs(t *testing.T) {
	for url, want := range map[string]redis.Address{
		"redis+sentinel://one/m":             {Servers: "one:26379", Master: "m"},
		"redis+sentinel://one,two:7,[::1]/m": {Servers: "one:26379 two:7 [::1]:26379", Master: "m"},
		"redis+sentinel://u:p@one:1,two:2/m/5?sentinel_user=s&sentinel_password=t": {
			Servers: "one:1 two:2", Master: "m", User: "u", Password: "p", Database: 5,
			SentinelUser: "s", SentinelPassword: "t",
		},
		"rediss+sentinel://:p%40@one/m": {Servers: "one:26379", Master: "m", Password: "p@", TLS: true},
		"redis://u:p@one/5":             {Servers: "one:6379", User: "u", Password: "p", Database: 5},
	} {
		if got, err := redis.ParseAddress(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", url, got, err, want)
		}
	}
	for _, url := range []string{
		"redis+sentinel://u:guess-1234@one", "redis+sentinel://u:guess-1234@/m",
		"redis+sentinel://u:guess-1234@one/m/x", "http+sentinel://u:guess-1234@one/m",
		"redis+sentinel://u:guess-1234@one,/m", "redis://u:guess-1234@[one/5",
		"redis+sentinel://u:guess-1234@one/m/-1", "redis+sentinel://u:guess%zz1234@one/m",
	} {
		if got, err := redis.ParseAddress(url); err == nil || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
}
