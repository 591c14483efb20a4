package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/duckwire/duckwire/storage/redis"
)

// checkRedis checks the Redis that the nodes share.
func (l *Local) checkRedis(ctx context.Context, r *Report) {
	const check = "redis"
	if l.RedisURL == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	f, err := redis.Probe(ctx, l.RedisURL, l.RedisPrefix)
	if err != nil {
		r.Broken(check,
			"start it, or see whether redis_url is right (address, user, password, rediss:// for TLS), and "+
				"reachable from here", "%v", err)
		return
	}
	full := f.MaxMemory > 0 && f.Memory >= f.MaxMemory
	if full {
		remedy := "raise maxmemory, or see what fills it: other programs' keys begin otherwise than with " +
			l.RedisPrefix + "dw:"
		r.Broken(check, remedy, "it is full, and takes no message, event or stream")
	}
	if f.Denied != nil && !full {
		r.Broken(check, "ACL SETUSER duckwire on >… ~"+l.RedisPrefix+"dw:* &"+l.RedisPrefix+"dw:* +@all -@admin "+
			"-@dangerous +info", "its user may not do what nodes need: %v", f.Denied)
	}
	if major, _, _ := strings.Cut(f.Version, "."); len(major) == 1 && major < "7" {
		r.Warn(check, "take Redis 7.0 or later: nothing older is tested", "it is version %s", f.Version)
	}
	if f.RoundTrip > slowRedis {
		r.Warn(check, "run it nearer to the nodes: whoever publishes waits for it", "it answers after %s",
			f.RoundTrip.Round(100*time.Microsecond))
	}
	if f.Ahead.Abs() > clockWarning {
		r.Warn(check, "let a time service set both clocks", "its clock is %s off this machine's",
			f.Ahead.Round(time.Second))
	}
	checkRedisMemory(r, check, f)
	checkRedisDisk(r, check, f)
	l.checkRedisReplicas(r, check, f)
	r.Fine(check, "version %s answers after %s, with %d replicas", f.Version, f.RoundTrip.Round(10*time.Microsecond),
		f.Replicas)
}

func checkRedisMemory(r *Report, check string, f *redis.Facts) {
	switch {
	case f.MaxMemory == 0:
		r.Warn(check, "set maxmemory below what its machine has, and maxmemory-policy noeviction",
			"its memory has no limit: when the machine's is used up, the system ends it")
	case f.Policy != "noeviction":
		r.Broken(check, "CONFIG SET maxmemory-policy noeviction",
			"when it is full it forgets what it likes (%s): messages and streams are lost, and nobody is told",
			f.Policy)
	case f.Memory > f.MaxMemory/10*8:
		r.Warn(check, "raise maxmemory: a full Redis refuses messages and events", "%s of %s of its memory are used",
			showBytes(uint64(f.Memory)), showBytes(uint64(f.MaxMemory)))
	}
}

// checkRedisReplicas checks whether a replica that lacks acknowledged writes may become the master.
func (l *Local) checkRedisReplicas(r *Report, check string, f *redis.Facts) {
	switch {
	case f.Replicas > l.RedisReplicas:
		r.Warn(check,
			"set redis_replicas to how many there are, if no message may be lost with the master: then none is "+
				"acknowledged while one of them is away",
			"it has %d replicas, and redis_replicas is %d: one that lacks what was acknowledged may become the master",
			f.Replicas, l.RedisReplicas)
	case f.Replicas < l.RedisReplicas:
		r.Broken(check, "start the replicas, or set redis_replicas to how many there are",
			"it has %d replicas, and redis_replicas asks for %d: no message is acknowledged", f.Replicas,
			l.RedisReplicas)
	}
}

// checkRedisDisk checks whether acknowledged messages survive a restart of Redis.
func checkRedisDisk(r *Report, check string, f *redis.Facts) {
	switch {
	case !f.AppendOnly:
		r.Warn(check, "CONFIG SET appendonly yes, and appendfsync always",
			"it keeps nothing on disk: what was acknowledged is gone after its restart")
	case f.AppendFsync == "":
		r.Skip(check, "how often its file is made durable could not be seen (CONFIG GET is denied)")
	case f.AppendFsync != "always":
		r.Warn(check, "CONFIG SET appendfsync always, if a 201 is to survive that",
			"appendfsync is %s: a power cut takes the messages of the last second, or more", f.AppendFsync)
	}
}
