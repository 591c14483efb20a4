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

// script is something that Redis does as a whole.
type script struct {
	text       string
	sha        string // SHA-1 of the text, by which Redis knows it once it has run
	lua        *rueidis.Lua
	replicated bool // as many replicas as Options.Replicas says have what it writes when it is done. Each run of it writes
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

// run runs a script.
func (s *Store) run(script *script, keys, args []string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	if script.replicated && s.Replicas > 0 {
		return s.runAndWait(ctx, script, keys, args)
	}
	return s.checkMaster(script.lua.Exec(ctx, s.client, keys, args))[0]
}

// scriptCall is what one run of a script is given.
type scriptCall struct{ keys, args []string }

// pipelineSize is how many runs of a script are sent before their answers are waited for.
const pipelineSize = 64

// runAll runs a script a number of times, in order, and returns what came of each. They do not wait for each other's
// answers.
func (s *Store) runAll(script *script, calls []scriptCall) []rueidis.RedisResult {
	results := make([]rueidis.RedisResult, 0, len(calls))
	for part := range slices.Chunk(calls, pipelineSize) {
		ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
		commands := make(rueidis.Commands, len(part))
		for i, c := range part {
			commands[i] = s.client.B().Evalsha().Sha1(script.sha).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build()
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

// runAndWait returns when enough replicas have what a script wrote. An error may mean that too few of them answered in
// time: Redis then has it, and whoever asks again under the same id is answered when they have it, too. WAIT is about
// the last write of its own connection, so each run of such a script writes, also where all is there already: what it
// writes comes behind what an earlier run, on another connection, wrote.
func (s *Store) runAndWait(ctx context.Context, script *script, keys, args []string) rueidis.RedisResult {
	var results []rueidis.RedisResult
	_ = s.client.Dedicated(func(conn rueidis.DedicatedClient) error { // WAIT is about what its own connection wrote, and blocks that
		results = conn.DoMulti(ctx,
			conn.B().Eval().Script(script.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build(),
			conn.B().Wait().Numreplicas(int64(s.Replicas)).Timeout(s.Timeout.Milliseconds()/2).Build())
		return nil
	})
	s.checkMaster(results...)
	if err := results[0].Error(); err != nil && !rueidis.IsRedisNil(err) { // a script may answer nothing
		return results[0]
	}
	have, err := results[1].AsInt64()
	if err == nil && have < int64(s.Replicas) {
		err = fmt.Errorf("%d replicas have it in time, and redis_replicas asks for %d", have, s.Replicas)
	}
	if err != nil {
		return rueidis.NewErrorResult(err)
	}
	return results[0]
}
