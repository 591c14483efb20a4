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

// Source is where the metrics are read from.
type Source struct {
	Hub       *hub.Hub
	Responses *middleware.Responses
	Degraded  func() []string // reasons why the server works with restrictions
	Version   string          // the program's version
}

// NewHandler returns a handler that answers with all metrics. It gathers them for one request at a time, because
// gathering reads every topic and stream, and concurrent requests must not multiply that load. Responses are written
// concurrently.
func NewHandler(s Source, logger *slog.Logger) http.Handler {
	var gathering sync.Mutex
	registry := NewRegistry(s)
	gather := func() ([]*dto.MetricFamily, error) {
		gathering.Lock()
		defer gathering.Unlock()
		return registry.Gather()
	}
	return promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelError),
	})
}

// NewRegistry returns a registry of all metrics. Each server has its own, so that one program may have two servers.
func NewRegistry(s Source) *prometheus.Registry {
	r := prometheus.NewRegistry()
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	r.MustRegister(collectors.NewGoCollector(), process, newCollector(s))
	return r
}

// snapshot is the server's state at one moment, from which all metrics of one answer are made.
type snapshot struct {
	hub.Stats
	source *Source
	now    time.Time
}

// family is a metric with one value for each combination of its labels.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	collect    func(s *snapshot, emit emit)
}

// emit sets one value of a family.
type emit func(value float64, labels ...string)

// histogram is a metric with buckets; ok is false if it has no data source.
type histogram struct {
	name, help string
	collect    func(s *snapshot) (d meter.Distribution, ok bool)
}

// collector collects metrics from a snapshot.
type collector struct {
	source     Source
	families   []*prometheus.Desc // in the order of families
	histograms []*prometheus.Desc // in the order of histograms
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

// cumulative returns a distribution in Prometheus's form: the count of values up to each bound.
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
