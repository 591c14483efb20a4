package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// redisServer is the Redis of a round with several nodes, without persistence.
type redisServer struct {
	proc   *process
	client rueidis.Client
	url    string
}

// startRedis starts the redis-server that is found in PATH, with its socket in dir.
func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("--nodes needs the program redis-server: %w", err)
	}
	socket := filepath.Join(dir, "redis")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no")
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &redisServer{proc: &process{cmd: cmd}, url: "unix://" + socket}
	for deadline := time.Now().Add(callTimeout); ; {
		r.client, err = rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{socket}, DisableCache: true, AlwaysRESP2: true,
			DialCtxFn: func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
				return d.DialContext(ctx, "unix", path)
			},
		})
		if err == nil {
			return r, nil
		}
		if time.Now().After(deadline) {
			r.proc.stop()
			return nil, fmt.Errorf("redis-server does not answer: %w", err)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			r.proc.stop()
			return nil, err
		}
	}
}

func (r *redisServer) stop() {
	r.client.Close()
	r.proc.stop()
}

var scriptCalls = regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+)`)

// used returns Redis' processor time so far, and how many scripts it has run. Unknown values are 0.
func (r *redisServer) used() (cpu time.Duration, scripts uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	info, _ := r.client.Do(ctx, r.client.B().Info().Section("commandstats").Build()).ToString()
	for _, match := range scriptCalls.FindAllStringSubmatch(info, -1) {
		calls, _ := strconv.ParseUint(match[1], 10, 64)
		scripts += calls
	}
	return processUsage(r.proc.cmd.Process.Pid).cpu, scripts
}

// startNodes starts servers that share a Redis, as one target.
func (b *Bench) startNodes(ctx context.Context, n int, dir string) (t *Target, err error) {
	redis, err := startRedis(ctx, dir)
	if err != nil {
		return nil, err
	}
	t = &Target{token: b.Token, redis: redis}
	defer func() {
		if err != nil {
			t.Stop()
		}
	}()
	for i := range n {
		sub := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(sub, 0o700); err != nil {
			return nil, err
		}
		command := b.Server(sub)
		command.Dir = sub
		command.Env = append(command.Env, "DUCKWIRE_REDIS_URL="+redis.url)
		one, err := start(ctx, command, b.Token)
		if err != nil {
			return nil, err
		}
		t.nodes = append(t.nodes, one)
	}
	t.addr = t.nodes[0].addr
	return t, nil
}

// node returns the i-th node, modulo their number.
func (t *Target) node(i int) *Target {
	if len(t.nodes) == 0 {
		return t
	}
	return t.nodes[i%len(t.nodes)]
}

// ParseNodes parses numbers of nodes, such as "1,2,3".
func ParseNodes(text string) (counts []int, err error) {
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > 16 {
			return nil, errors.New("--nodes wants numbers from 1 to 16, such as 1,2,3")
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// nodesNote explains the table in the report of several nodes.
const nodesNote = "Readers, publishers and producers are spread over the nodes; \"alone\" is one server without " +
	"Redis. CPU seconds are those of all nodes together; Redis has a column of its own."
