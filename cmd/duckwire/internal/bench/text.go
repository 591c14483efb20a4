package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// barWidth is the length of the longest bar, in characters.
const barWidth = 40

// WriteText writes the report as text.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%d cores, %s, %s/%s\n\n", r.Mode, r.loadText(), r.Machine.Cores, r.Machine.Go,
		r.Machine.OS, r.Machine.Arch)
	r.writeTable(&b)
	r.writeBars(&b)
	r.writeLatency(&b)
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) loadText() string {
	var parts []string
	for _, key := range []string{
		"transport", "readers", "streams", "topics", "events_per_second", "tokens_per_second",
		"batch", "payload_bytes", "missed", "cuts", "stalled", "seconds",
	} {
		if v, ok := r.Load[key]; ok {
			parts = append(parts, strings.TrimSuffix(fmt.Sprintf("%v %s", v, strings.ReplaceAll(key, "_", " ")),
				" transport"))
		}
	}
	return strings.Join(parts, ", ")
}

// writeLatency draws the latency histogram of Duckwire's last round.
func (r *Report) writeLatency(b *strings.Builder) {
	own := r.of(duckwire)
	if len(own) == 0 || len(own[len(own)-1].Latency.Bars) == 0 {
		return
	}
	var most, total uint64
	bars := own[len(own)-1].Latency.Bars
	for _, bar := range bars {
		most, total = max(most, bar.Count), total+bar.Count
	}
	fmt.Fprintln(b, "\nlatency of the last round's deliveries, from each step to twice that:")
	for _, bar := range bars {
		n := int(bar.Count * barWidth / most)
		fmt.Fprintf(b, "  %9.3f ms %-*s %5.1f %%\n", bar.From, barWidth, strings.Repeat("#", n),
			float64(bar.Count)/float64(total)*100)
	}
}

// column is a column of the table. A column whose values are all zero is omitted.
type column struct {
	name   string
	figure func(r *Round) float64
	show   func(v float64) string
}

var columns = []column{
	{"seconds", func(r *Round) float64 { return r.Seconds }, decimals(2)},
	{"published/s", func(r *Round) float64 { return float64(r.Published) / r.Seconds }, count},
	{"deliveries", func(r *Round) float64 { return float64(r.Deliveries) }, count},
	{"deliveries/s", func(r *Round) float64 { return float64(r.Deliveries) / r.Seconds }, count},
	{"bytes each", func(r *Round) float64 { return r.Bytes }, count},
	{"server CPU s", func(r *Round) float64 { return r.CPU }, decimals(2)},
	{"CPU s/million", (*Round).perMillion, decimals(2)},
	{"Redis CPU s", func(r *Round) float64 { return r.RedisCPU }, decimals(2)},
	{"scripts/1,000 published", func(r *Round) float64 {
		return float64(r.Scripts) / float64(r.Published) * 1000
	}, count},
	{"p50 ms", func(r *Round) float64 { return r.Latency.P50 }, decimals(2)},
	{"p99 ms", func(r *Round) float64 { return r.Latency.P99 }, decimals(2)},
	{"max ms", func(r *Round) float64 { return r.Latency.Max }, decimals(2)},
	{"peak MiB", func(r *Round) float64 { return float64(r.Peak) / (1 << 20) }, decimals(1)},
	{"KiB a reader", func(r *Round) float64 { return float64(r.PerConn) / (1 << 10) }, decimals(1)},
}

func decimals(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

// count formats an integer with thousands separators.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (r *Report) writeTable(b *strings.Builder) {
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	shown := columns[:0:0]
	for _, c := range columns {
		if greatest(r.Rounds, c.figure) > 0 {
			shown = append(shown, c)
		}
	}
	fmt.Fprint(tw, "server\t")
	for _, c := range shown {
		fmt.Fprint(tw, c.name, "\t")
	}
	fmt.Fprintln(tw)
	for i := range r.Rounds {
		fmt.Fprint(tw, r.Rounds[i].Server, "\t")
		for _, c := range shown {
			fmt.Fprint(tw, c.show(c.figure(&r.Rounds[i])), "\t")
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // a strings.Builder takes everything
}

// greatest returns the maximum of a figure over rounds.
func greatest(rounds []Round, figure func(*Round) float64) (most float64) {
	for i := range rounds {
		most = max(most, figure(&rounds[i]))
	}
	return most
}

// writeBars draws the deliveries per CPU-second of each server, if there are several.
func (r *Report) writeBars(b *strings.Builder) {
	var names []string
	var values []float64
	for i := range r.Rounds {
		if name := r.Rounds[i].Server; !slices.Contains(names, name) {
			names, values = append(names, name), append(values, middle(r.of(name), (*Round).perCPU))
		}
	}
	if len(names) < 2 || slices.Max(values) == 0 {
		return
	}
	fmt.Fprintln(b, "\ndeliveries per CPU-second of the server (medians):")
	for i, name := range names {
		n := int(values[i] / slices.Max(values) * barWidth)
		fmt.Fprintf(b, "  %-10s %-*s %s\n", name, barWidth, strings.Repeat("#", n), count(values[i]))
	}
	if r.Ratio > 0 {
		fmt.Fprintf(b, "duckwire gives %.0f %% of the bare loop's deliveries for the same processor time\n",
			r.Ratio*100)
	}
}
