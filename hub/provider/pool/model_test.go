package pool_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/pool"
)

// How a member of the model behaves.
const (
	works       = "works"
	failsBefore = "fails before its first token"
	failsAfter  = "fails after its first token"
	refuses     = "refuses the request"
)

// modelMember is a member whose behaviour changes, and what the pool should know of it.
type modelMember struct {
	name     string
	models   []string
	how      string
	failures int
	until    time.Time
}

func (m *modelMember) serves(model string) bool {
	return len(m.models) == 0 || slices.Contains(m.models, model)
}

func (m *modelMember) fail() {
	m.failures++
	pause := time.Second
	for range m.failures - 1 {
		pause = min(2*pause, time.Minute)
	}
	m.until = time.Now().Add(pause)
}

type poolModel struct {
	pool    *pool.Pool
	members []*modelMember
	asked   []string
}

// TestPoolModel compares a pool with a model, while members fail and recover at random and time passes: which members
// are asked, in which order, and that an answer has one member's text only. A failure prints the seed.
func TestPoolModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// without t.Deadline, which panics in a bubble
		rapid.Check(struct{ rapid.TB }{t}, func(r *rapid.T) {
			m := newPoolModel(t, r)
			r.Repeat(map[string]func(*rapid.T){
				"change": func(r *rapid.T) {
					member := rapid.SampledFrom(m.members).Draw(r, "member")
					member.how = rapid.SampledFrom([]string{works, failsBefore, failsAfter, refuses}).Draw(r, "how")
				},
				"wait": func(r *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 200).Draw(r, "half seconds")) * time.Second / 2)
				},
				"ask":   m.ask,
				"again": m.ask,
			})
		})
	})
}

func newPoolModel(t *testing.T, r *rapid.T) *poolModel {
	m := &poolModel{}
	var members []pool.Member
	for i := range rapid.IntRange(1, 4).Draw(r, "members") {
		own := &modelMember{name: string(rune('a' + i)), how: works}
		own.models = rapid.SampledFrom([][]string{nil, {"x"}, {"y"}, {"x", "y"}}).Draw(r, "models")
		m.members = append(m.members, own)
		member := completing(func(_ context.Context, _ *hub.CompletionRequest, w hub.CompletionWriter) error {
			m.asked = append(m.asked, own.name)
			return own.answer(w)
		})
		member.Name, member.Models = own.name, own.models
		members = append(members, member)
	}
	m.pool = newPool(t, nil, members...)
	return m
}

// answer writes two texts with the member's name.
func (m *modelMember) answer(w hub.CompletionWriter) error {
	w.Accepted()
	w.Describe(hub.CompletionInfo{ID: m.name})
	switch m.how {
	case failsBefore:
		return failure(503, "down")
	case refuses:
		return failure(400, "no")
	}
	if err := w.Text(m.name); err != nil {
		return err
	}
	if m.how == failsAfter {
		return failure(502, "upstream_truncated")
	}
	if err := w.Text(m.name); err != nil {
		return err
	}
	w.Finish(hub.Finish{Reason: "stop"})
	return nil
}

// expect returns which members are to be asked for a model, and what the client is to see.
func (m *poolModel) expect(model string) (asked []string, want string) {
	var inPlace, after []*modelMember
	for _, member := range m.members {
		switch {
		case !member.serves(model):
		case member.failures == 0 || !time.Now().Before(member.until):
			inPlace = append(inPlace, member)
		default:
			after = append(after, member)
		}
	}
	if len(inPlace)+len(after) == 0 {
		return nil, " model_not_found"
	}
	for _, member := range append(inPlace, after...) {
		asked = append(asked, member.name)
		switch n := member.name; member.how {
		case works:
			member.failures = 0
			return asked, fmt.Sprintf("accepted, describe %s, text %s, text %s, finish stop ", n, n, n)
		case refuses:
			member.failures = 0
			return asked, "accepted no"
		case failsAfter:
			member.failures = 0
			member.fail()
			return asked, fmt.Sprintf("accepted, describe %s, text %s upstream_truncated", n, n)
		}
		member.fail()
	}
	return asked, "accepted down"
}

func (m *poolModel) ask(r *rapid.T) {
	model := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r, "model")
	healthy := slices.ContainsFunc(m.members, func(o *modelMember) bool { return o.serves(model) && o.how == works })
	asked, want := m.expect(model)
	m.asked = nil
	got, err := ask(context.Background(), m.pool, model)
	if got += " " + codeOf(err); got != want || !slices.Equal(m.asked, asked) {
		r.Fatalf("asked %v: %s\nwant %v: %s", m.asked, got, asked, want)
	}
	if healthy && strings.HasSuffix(got, "down") {
		r.Fatalf("a member works, and the client gets %s", got)
	}
	for i, u := range m.pool.Upstreams() {
		if u.Failures != m.members[i].failures || u.Healthy != (u.Failures == 0) {
			r.Fatalf("%+v; want %d failures", u, m.members[i].failures)
		}
	}
}
