package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Facts describe a Redis.
type Facts struct {
	Version   string        // "7.0.15"
	RoundTrip time.Duration // median of several measurements
	Ahead     time.Duration // how far its clock is ahead of this machine's
	Cluster   bool
	Replicas  int // connected replicas

	Memory, MaxMemory int64  // bytes; MaxMemory 0: no limit
	Policy            string // eviction policy
	AppendOnly        bool   // whether it has an append-only file
	AppendFsync       string // "" if the user may not read it

	Denied error // the first operation that nodes need and the user may not do
}

// Probe examines a Redis with the user and the prefix of a node. The error contains no password.
func Probe(ctx context.Context, url, prefix string) (*Facts, error) {
	opts, _, err := clientOptions(&Options{URL: url, Node: "probe", Timeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	names, err := newNames(prefix, opts.SelectDB)
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(opts)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	info, err := client.Do(ctx, client.B().Info().Build()).ToString()
	if err != nil {
		return nil, err
	}
	f := &Facts{
		Version: infoField(info, "redis_version"), Cluster: infoField(info, "cluster_enabled") == "1",
		Memory: infoNumber(info, "used_memory"), MaxMemory: infoNumber(info, "maxmemory"),
		Policy: infoField(info, "maxmemory_policy"), AppendOnly: infoField(info, "aof_enabled") == "1",
		Replicas: int(infoNumber(info, "connected_slaves")),
	}
	if settings, err := client.Do(ctx, client.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap(); err == nil {
		f.AppendFsync = settings["appendfsync"]
	}
	if f.RoundTrip, f.Ahead, err = measureClock(ctx, client); err != nil {
		return nil, err
	}
	f.Denied = tryPermissions(ctx, client, names)
	return f, nil
}

// measureClock asks for the time repeatedly.
func measureClock(ctx context.Context, client rueidis.Client) (roundTrip, ahead time.Duration, err error) {
	var trips, aheads []time.Duration
	for range 9 {
		begun := time.Now()
		parts, err := client.Do(ctx, client.B().Time().Build()).AsStrSlice()
		if err != nil {
			return 0, 0, err
		}
		trip := time.Since(begun)
		seconds, _ := strconv.ParseInt(parts[0], 10, 64)
		micros, _ := strconv.ParseInt(parts[1], 10, 64)
		trips = append(trips, trip)
		aheads = append(aheads, time.Unix(seconds, micros*1000).Sub(begun.Add(trip/2)))
	}
	slices.Sort(trips)
	slices.Sort(aheads)
	return trips[len(trips)/2], aheads[len(aheads)/2], nil
}

// tryPermissions tries the kinds of commands that nodes use, and leaves no keys behind.
func tryPermissions(ctx context.Context, client rueidis.Client, names names) error {
	key := names.probeKey()
	writing := rueidis.NewLuaScript("redis.call('SET', KEYS[1], 1) " +
		"redis.call('PUBLISH', ARGV[1], 1) redis.call('DEL', KEYS[1]) return 1")
	if err := writing.Exec(ctx, client, []string{key}, []string{names.channel(key)}).Error(); err != nil {
		return fmt.Errorf("running a script: %w", err)
	}
	return client.Dedicated(func(conn rueidis.DedicatedClient) error {
		defer conn.Close()
		lost := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
		err := conn.Do(ctx, conn.B().Subscribe().Channel(names.channel(key)).Build()).Error()
		select {
		case lostErr := <-lost:
			err = errors.Join(err, lostErr)
		default:
		}
		if err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
		return nil
	})
}

// infoField returns a field of the output of INFO, or "".
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

func infoNumber(info, name string) int64 {
	n, _ := strconv.ParseInt(infoField(info, name), 10, 64)
	return n
}
