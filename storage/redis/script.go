package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// script is a Lua script, which Redis runs atomically.
type script struct {
	text       string
	sha        string // SHA-1 of the text, which names the script once Redis has run it
	lua        *rueidis.Lua
	replicated bool // wait until Options.Replicas replicas have its writes; each run must write
}

func newScript(parts ...string) *script {
	text := strings.Join(parts, "")
	sum := sha1.Sum([]byte(text))
	return &script{text: text, sha: hex.EncodeToString(sum[:]), lua: rueidis.NewLuaScript(text)}
}

func newReplicated(parts ...string) *script {
	s := newScript(parts...)
	s.replicated = true
	return s
}

// run runs a script once.
func (s *Store) run(script *script, keys, args []string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	if script.replicated && s.Replicas > 0 {
		return s.runAndWait(ctx, script, keys, args)
	}
	return s.checkMaster(script.lua.Exec(ctx, s.client, keys, args))[0]
}

// scriptCall has the keys and arguments of one run of a script.
type scriptCall struct{ keys, args []string }

// pipelineSize is how many runs of a script are sent before their answers are read.
const pipelineSize = 64

// runAll runs a script several times, in order and pipelined, and returns the result of each run.
func (s *Store) runAll(script *script, calls []scriptCall) []rueidis.RedisResult {
	results := make([]rueidis.RedisResult, 0, len(calls))
	for part := range slices.Chunk(calls, pipelineSize) {
		ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
		commands := make(rueidis.Commands, len(part))
		for i, c := range part {
			keys := s.client.B().Evalsha().Sha1(script.sha).Numkeys(int64(len(c.keys))).Key(c.keys...)
			commands[i] = keys.Arg(c.args...).Build()
		}
		answers := s.checkMaster(s.client.DoMulti(ctx, commands...)...)
		cancel()
		for i := range answers {
			if err, ok := rueidis.IsRedisErr(answers[i].Error()); ok && err.IsNoScript() {
				answers[i] = s.run(script, part[i].keys, part[i].args)
			}
		}
		results = append(results, answers...)
	}
	return results
}

// runAndWait runs a script, and returns when enough replicas have its writes. If they do not confirm in time, it
// returns an error although the master has the writes; a caller that repeats the call under the same id gets a success
// once the replicas have them. WAIT covers the last write of its own connection. So each run of such a script must
// write, also if it changes nothing: that write comes after those of an earlier run on another connection.
func (s *Store) runAndWait(ctx context.Context, script *script, keys, args []string) rueidis.RedisResult {
	var results []rueidis.RedisResult
	// WAIT blocks the connection and covers only its writes
	_ = s.client.Dedicated(func(conn rueidis.DedicatedClient) error {
		results = conn.DoMulti(ctx,
			conn.B().Eval().Script(script.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build(),
			conn.B().Wait().Numreplicas(int64(s.Replicas)).Timeout(s.Timeout.Milliseconds()/2).Build())
		return nil
	})
	s.checkMaster(results...)
	if err := results[0].Error(); err != nil && !rueidis.IsRedisNil(err) { // a script may return nil
		return results[0]
	}
	confirmed, err := results[1].AsInt64()
	if err == nil && confirmed < int64(s.Replicas) {
		err = fmt.Errorf("%d replicas have it in time, and redis_replicas asks for %d", confirmed, s.Replicas)
	}
	if err != nil {
		return rueidis.NewErrorResult(err)
	}
	return results[0]
}
