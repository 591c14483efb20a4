package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/meter"
	"github.com/duckwire/duckwire/middleware"
)

// Source is what is shown.
type Source struct {
	Hub       *hub.Hub
	Responses *middleware.Responses
	Degraded  func() []string // what works less than it should
	Version   string          // of the program
}

// NewHandler returns the handler that answers with all metrics. It looks for one answer at a time: a look is at every topic and stream, and however many
// ask, that must not be what the server does. The writing, at the client's speed, is beside it.
func NewHandler(s Source, logger *slog.Logger) http.Handler {
	var turn sync.Mutex
	registry := NewRegistry(s)
	gather := func() ([]*dto.MetricFamily, error) {
		turn.Lock()
		defer turn.Unlock()
		return registry.Gather()
	}
	return promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelError)})
}

// NewRegistry returns the registry of all metrics. It is the server's own: two servers in one program have two.
func NewRegistry(s Source) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newCollector(s))
	return r
}

// snapshot is one look at the server, from which all metrics of one answer are made.
type snapshot struct {
	hub.Stats
	source *Source
	now    time.Time
}

// family is a metric of which there is one for each combination of its labels' values.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	collect    func(s *snapshot, emit emit)
}

// emit gives one metric of a family its value.
type emit func(value float64, labels ...string)

// histogram is a metric with buckets; ok is false where there is nothing to be shown.
type histogram struct {
	name, help string
	collect    func(s *snapshot) (d meter.Distribution, ok bool)
}

// collector makes metrics of a snapshot.
type collector struct {
	source     Source
	families   []*prometheus.Desc // as in families
	histograms []*prometheus.Desc // as in histograms
}

func newCollector(s Source) *collector {
	c := &collector{source: s}
	for i := range families {
		c.families = append(c.families, prometheus.NewDesc(families[i].name, families[i].help, families[i].labels, nil))
	}
	for i := range histograms {
		c.histograms = append(c.histograms, prometheus.NewDesc(histograms[i].name, histograms[i].help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.families {
		out <- d
	}
	for _, d := range c.histograms {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := snapshot{Stats: c.source.Hub.Stats(), source: &c.source, now: time.Now()}
	for i, d := range c.families {
		families[i].collect(&s, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, families[i].kind, value, labels...)
		})
	}
	for i, d := range c.histograms {
		if dist, ok := histograms[i].collect(&s); ok {
			out <- prometheus.MustNewConstHistogram(d, dist.Count(), dist.Sum, cumulative(dist))
		}
	}
}

// cumulative turns a distribution into Prometheus's form: values up to each bound.
func cumulative(d meter.Distribution) map[float64]uint64 {
	buckets := make(map[float64]uint64, len(d.Bounds))
	var n uint64
	for i, bound := range d.Bounds {
		n += d.Counts[i]
		buckets[bound] = n
	}
	return buckets
}

func buildInfo(s *snapshot, emit emit) { emit(1, s.source.Version, runtime.Version()) }
