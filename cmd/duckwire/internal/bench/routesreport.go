package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// RoutesReport is the result of a run with completions.
type RoutesReport struct {
	Mode    string          `json:"mode"`
	Load    CompletionsLoad `json:"load"`
	Machine Machine         `json:"machine"`
	Results []RouteResult   `json:"results"` // by number of completions, and then by route
}

// CompletionsLoad are the parameters of a run with completions, whatever their numbers.
type CompletionsLoad struct {
	Tokens int     `json:"tokens"`            // of each completion
	Rate   float64 `json:"tokens_per_second"` // of each completion; the upstream must have the same
	Rounds int     `json:"rounds"`            // how often each route is measured with each number
}

// RouteResult has a route's figures with one number of completions at once: the median of each figure over the rounds.
// CPU, Ratio and Peak are 0 if they are unknown, and on the route direct, which has no process between.
type RouteResult struct {
	Completions int    `json:"completions"`
	Route       string `json:"route"`
	Tokens      int    `json:"tokens"` // received in one round, in order, none lost or repeated

	FirstToken Quantiles `json:"first_token"` // from sending the request to reading the first token
	Token      Quantiles `json:"token"`       // from the upstream's write of a token to reading it
	// what the route has more than the route direct, in the same round
	AddedFirstToken Quantiles `json:"added_first_token"`
	AddedToken      Quantiles `json:"added_token"`

	CPU   float64 `json:"cpu_us_per_token,omitempty"` // of the process between, completions' begins and ends included
	Ratio float64 `json:"ratio_to_proxy,omitempty"`   // CPU divided by the reverse proxy's, in the same round
	Peak  float64 `json:"peak_rss_bytes,omitempty"`   // of the process between, since its start
}

// Quantiles are two quantiles of times, in milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

func (q Quantiles) minus(other Quantiles) Quantiles {
	return Quantiles{q.P50 - other.P50, q.P99 - other.P99}
}

// quantiles sorts d, which must not be empty.
func quantiles(d []time.Duration) Quantiles {
	slices.Sort(d)
	at := func(percent int) float64 { return millis(int64(d[(len(d)*percent+99)/100-1])) }
	return Quantiles{P50: at(50), P99: at(99)}
}

// compare sets the figures that compare the routes of one round.
func compare(round []RouteResult) {
	of := func(route string) *RouteResult {
		i := slices.IndexFunc(round, func(r RouteResult) bool { return r.Route == route })
		if i < 0 {
			return nil
		}
		return &round[i]
	}
	direct, proxy := of(RouteDirect), of(RouteProxy)
	for i := range round {
		r := &round[i]
		if direct != nil && r != direct {
			r.AddedFirstToken = r.FirstToken.minus(direct.FirstToken)
			r.AddedToken = r.Token.minus(direct.Token)
		}
		if proxy != nil && proxy.CPU > 0 {
			r.Ratio = r.CPU / proxy.CPU
		}
	}
}

// medians returns the median of each figure over the rounds of one route.
func medians(rounds []RouteResult) RouteResult {
	both := func(figure func(*RouteResult) Quantiles) Quantiles {
		return Quantiles{
			P50: middle(rounds, func(r *RouteResult) float64 { return figure(r).P50 }),
			P99: middle(rounds, func(r *RouteResult) float64 { return figure(r).P99 }),
		}
	}
	m := rounds[0]
	m.FirstToken = both(func(r *RouteResult) Quantiles { return r.FirstToken })
	m.Token = both(func(r *RouteResult) Quantiles { return r.Token })
	m.AddedFirstToken = both(func(r *RouteResult) Quantiles { return r.AddedFirstToken })
	m.AddedToken = both(func(r *RouteResult) Quantiles { return r.AddedToken })
	m.CPU = middle(rounds, func(r *RouteResult) float64 { return r.CPU })
	m.Ratio = middle(rounds, func(r *RouteResult) float64 { return r.Ratio })
	m.Peak = middle(rounds, func(r *RouteResult) float64 { return r.Peak })
	return m
}

// WriteText writes the report as text.
func (r *RoutesReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d tokens each, %v tokens a second, medians of %d rounds\n%d cores, %s, %s/%s\n\n", r.Mode,
		r.Load.Tokens, r.Load.Rate, r.Load.Rounds, r.Machine.Cores, r.Machine.Go, r.Machine.OS, r.Machine.Arch)
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "at once\troute\ttokens\tfirst token ms\tadded ms\teach token ms\tadded ms\tCPU µs/token\t"+
		"of the proxy's\tpeak MiB\t")
	for i := range r.Results {
		r.Results[i].writeRow(tw)
	}
	_ = tw.Flush() // a strings.Builder takes everything
	fmt.Fprint(&b, "\ntimes are p50 / p99\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRow writes a row of the table. What the route does not have, or is unknown, is left empty.
func (r *RouteResult) writeRow(w io.Writer) {
	cell := func(has bool, format string, v float64) {
		if has {
			fmt.Fprintf(w, format, v)
		}
		fmt.Fprint(w, "\t")
	}
	pair := func(has bool, q Quantiles) {
		if has {
			fmt.Fprintf(w, "%.2f / %.2f", q.P50, q.P99)
		}
		fmt.Fprint(w, "\t")
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t", count(float64(r.Completions)), r.Route, count(float64(r.Tokens)))
	between := r.Route != RouteDirect
	pair(true, r.FirstToken)
	pair(between, r.AddedFirstToken)
	pair(true, r.Token)
	pair(between, r.AddedToken)
	cell(r.CPU > 0, "%.1f", r.CPU)
	cell(r.Ratio > 0, "%.2f", r.Ratio)
	cell(r.Peak > 0, "%.1f", r.Peak/(1<<20))
	fmt.Fprintln(w)
}
