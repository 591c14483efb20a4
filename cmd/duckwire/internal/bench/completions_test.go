package bench_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/bench"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

// TestCompletions measures three routes with small numbers, and checks what the report says. It does not check times.
func TestCompletions(t *testing.T) {
	load := &bench.Completions{Counts: []int{1, 2}, CompletionsLoad: bench.CompletionsLoad{Tokens: 4, Rate: 200, Rounds: 2}}
	upstream := serve(t, &bench.Upstream{Rate: load.Rate})
	report, err := load.Run(t.Context(), []bench.Route{
		{Name: bench.RouteDirect, Target: upstream},
		{Name: bench.RouteProxy, Target: serve(t, &bench.Proxy{Upstream: "http://" + upstream.Addr()})},
		{Name: bench.RouteDuckwire, Target: duckwireBefore(t, upstream)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, r := range report.Results {
		rows = append(rows, r.Route)
		if r.Tokens != r.Completions*load.Tokens {
			t.Errorf("%s, %d completions: %d tokens", r.Route, r.Completions, r.Tokens)
		}
		if r.FirstToken.P50 <= 0 || r.Token.P50 <= 0 || r.FirstToken.P99 < r.FirstToken.P50 || r.Token.P99 < r.Token.P50 {
			t.Errorf("%s: %+v, %+v", r.Route, r.FirstToken, r.Token)
		}
		if added := r.AddedToken != (bench.Quantiles{}); added == (r.Route == bench.RouteDirect) {
			t.Errorf("%s: added %+v", r.Route, r.AddedToken)
		}
		if r.CPU != 0 || r.Ratio != 0 { // nothing here is a process of its own
			t.Errorf("%s: CPU %v, ratio %v", r.Route, r.CPU, r.Ratio)
		}
	}
	one := []string{bench.RouteDirect, bench.RouteProxy, bench.RouteDuckwire}
	if !slices.Equal(rows, append(one, one...)) {
		t.Errorf("routes %q", rows)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), "reverse proxy") {
		t.Errorf("%v\n%s", err, &text)
	}
	if b, err := json.Marshal(report); err != nil || !strings.Contains(string(b), `"added_token":{"p50_ms":`) {
		t.Errorf("%v, %s", err, b)
	}
}

// serve runs one of the bench's own servers in this process.
func serve(t *testing.T, s interface {
	Serve(ctx context.Context, log io.Writer) error
},
) *bench.Target {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	var says struct{ URL string }
	if err := json.NewDecoder(r).Decode(&says); err != nil {
		t.Fatal(err)
	}
	return target(t, says.URL, "")
}

// duckwireBefore starts a server in this process that asks an upstream.
func duckwireBefore(t *testing.T, upstream *bench.Target) *bench.Target {
	t.Helper()
	p, err := openai.New(openai.Options{BaseURL: "http://" + upstream.Addr() + "/v1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return duckwireWith(t, hub.Options{Provider: p})
}

// TestCompletionFaults shows that an answer that is not whole ends the run with an error that says what is wrong.
func TestCompletionFaults(t *testing.T) {
	const (
		first  = `data: {"choices":[{"delta":{"content":"0000001 1000000000000000000 "}}]}` + "\n\n"
		second = `data: {"choices":[{"delta":{"content":"0000002 1000000000000000000 "}}]}` + "\n\n"
		done   = "data: [DONE]\n\n"
	)
	for name, c := range map[string]struct{ body, want string }{
		"lost":     {second + done, "event 2 came where 1 was next"},
		"repeated": {first + first + done, "event 1 came again"},
		"short":    {first + done, "after 1 of 2 tokens"},
		"no DONE":  {first + second, "after token 2"},
		"half":     {`data: {"choices":[{"delta":{"content":"0000001 1"}}]}` + "\n\n" + done, "half a token"},
		"no times": {`data: {"choices":[{"delta":{"content":"0000001 x000000000000000000 "}}]}` + "\n\n", "invalid syntax"},
		"error":    {first + `data: {"error":{"message":"boom"}}` + "\n\n", "boom"},
		"refused":  {"", "503"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.body == "" {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(s.Close)
			load := &bench.Completions{Counts: []int{1}, CompletionsLoad: bench.CompletionsLoad{Tokens: 2, Rate: 100, Rounds: 1}}
			_, err := load.Run(t.Context(), []bench.Route{{Name: bench.RouteDirect, Target: target(t, s.URL, "")}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}

func TestCompletionFlags(t *testing.T) {
	for _, c := range []struct {
		args, want string
	}{
		{"--at-once 0", "--at-once 0"},
		{"--at-once 10,20001", "--at-once 20001"},
		{"--tokens 0", "--tokens 0"},
		{"--tokens 100001", "--tokens 100001"},
		{"--rate 0", "--rate 0"},
		{"--rate NaN", "--rate NaN"},
		{"--rounds -1", "--rounds -1"},
		{"--at-once 1,2 --tokens 5 --rate 0.5 --rounds 1", ""},
	} {
		cmd, load := bench.CompletionsCommand()
		if err := cmd.ParseFlags(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		err := load.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}
