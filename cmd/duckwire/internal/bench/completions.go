package bench

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Completions is the load of streamed completions that one upstream answers, and that clients read on several routes:
// from the upstream itself, through a reverse proxy, and through Duckwire.
type Completions struct {
	Counts []int // numbers of completions at once, measured one after the other
	CompletionsLoad
}

// Route is a way to the upstream.
type Route struct {
	Name   string // one of those below
	Target *Target
}

// The names of routes.
const (
	RouteDirect   = "direct"
	RouteProxy    = "reverse proxy"
	RouteDuckwire = duckwire
)

// maxAtOnce is the most completions at once that can be asked for.
const maxAtOnce = 20_000

// startsPerSecond bounds how many completions begin per second. If all began at once, the times to their first tokens
// would be those of a queue of requests.
const startsPerSecond = 500

// Run measures the routes, all of them in each round. Every answer must be whole; otherwise Run returns an error.
func (s *Completions) Run(ctx context.Context, routes []Route) (*RoutesReport, error) {
	if err := checkFiles(2 * slices.Max(s.Counts)); err != nil { // a process between has two connections for each
		return nil, err
	}
	report := &RoutesReport{
		Mode: "completions", Machine: thisMachine(),
		Load: s.CompletionsLoad,
	}
	if _, err := s.round(ctx, routes, min(10, s.Counts[0]), 2); err != nil { // a process' first requests are slow
		return nil, fmt.Errorf("before the first round: %w", err)
	}
	for _, n := range s.Counts {
		results := make([][]RouteResult, len(routes))
		for i := range s.Rounds {
			round, err := s.round(ctx, routes, n, s.Tokens)
			if err != nil {
				return nil, fmt.Errorf("round %d: %w", i+1, err)
			}
			for j := range routes {
				results[j] = append(results[j], round[j])
			}
		}
		for j := range routes {
			report.Results = append(report.Results, medians(results[j]))
		}
	}
	return report, nil
}

// round measures each route once.
func (s *Completions) round(ctx context.Context, routes []Route, n, tokens int) ([]RouteResult, error) {
	var results []RouteResult
	for _, r := range routes {
		result, err := s.measure(ctx, r, n, tokens)
		if err != nil {
			return nil, fmt.Errorf("%s, %d completions: %w", r.Name, n, err)
		}
		results = append(results, result)
	}
	compare(results)
	return results, nil
}

// measure runs n completions at once on one route. They begin at random times, which are the same on each route, within
// the time of a token or, if that is too short, so that startsPerSecond begin per second.
func (s *Completions) measure(ctx context.Context, r Route, n, tokens int) (RouteResult, error) {
	spread := max(1/s.Rate, float64(n)/startsPerSecond)
	limit := time.Duration((spread+float64(tokens)/s.Rate)*float64(time.Second)) + callTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not all answers were whole within %v", limit))
	defer cancel()
	group, gctx := errgroup.WithContext(ctx)
	random := rand.New(rand.NewPCG(1, uint64(n)))
	askers := make([]asker, n)
	before := r.Target.usage()
	for i := range askers {
		begin := time.Duration(random.Float64() * spread * float64(time.Second))
		group.Go(func() error {
			if err := sleep(gctx, begin); err != nil {
				return err
			}
			return askers[i].ask(gctx, r.Target, tokens)
		})
	}
	if err := group.Wait(); err != nil {
		return RouteResult{}, cmp.Or(context.Cause(ctx), err) // the end of ctx closes the connections
	}
	return routeResult(r, askers, before, r.Target.usage()), nil
}

func routeResult(r Route, askers []asker, before, after usage) RouteResult {
	var first, token []time.Duration
	for i := range askers {
		first, token = append(first, askers[i].first), append(token, askers[i].latency...)
	}
	result := RouteResult{
		Completions: len(askers), Route: r.Name, Tokens: len(token),
		FirstToken: quantiles(first), Token: quantiles(token),
	}
	if r.Name != RouteDirect {
		result.CPU = float64((after.cpu - before.cpu).Nanoseconds()) / 1e3 / float64(len(token))
		result.Peak = float64(after.peak)
	}
	return result
}
