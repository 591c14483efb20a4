package bench

import (
	"math"
	"runtime"
	"slices"
	"time"
)

// Report is the result of running a mode.
type Report struct {
	Mode    string         `json:"mode"`
	Load    map[string]any `json:"load"`
	Machine Machine        `json:"machine"`
	Rounds  []Round        `json:"rounds"`
	Notes   []string       `json:"notes,omitempty"`
	// ratio of Duckwire's deliveries per CPU-second to the bare loop's, median of the rounds
	Ratio float64 `json:"ratio_to_bare,omitempty"`
}

// Machine describes where the figures were measured.
type Machine struct {
	Cores int    `json:"cores"`
	Go    string `json:"go"`
	OS    string `json:"os"`
	Arch  string `json:"arch"`
}

func thisMachine() Machine {
	return Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}

// Round is one measurement of one server. Values that are unknown, or that the mode does not measure, are zero.
type Round struct {
	Server     string  `json:"server"` // "duckwire" or "bare loop"; with several nodes "alone" or "N on Redis"
	Seconds    float64 `json:"seconds"`
	Published  uint64  `json:"published"`
	Deliveries uint64  `json:"deliveries"` // counted by the readers, in order, none lost or repeated
	Bytes      float64 `json:"bytes_per_delivery"`
	CPU        float64 `json:"server_cpu_seconds,omitempty"`
	Peak       int64   `json:"server_peak_rss_bytes,omitempty"`
	Growth     int64   `json:"server_rss_growth_bytes,omitempty"` // while the load ran
	PerConn    int64   `json:"server_bytes_per_reader,omitempty"` // mode idle
	RedisCPU   float64 `json:"redis_cpu_seconds,omitempty"`
	Scripts    uint64  `json:"redis_scripts,omitempty"` // number of scripts that Redis ran
	// from publishing to receiving; with reconnect: see Reconnect.cut
	Latency Latency `json:"latency"`
}

const (
	duckwire = "duckwire"
	bareLoop = "bare loop"
	alone    = "alone" // one server without Redis, for comparison with several nodes
)

// perMillion returns the server's CPU-seconds per million deliveries.
func (r *Round) perMillion() float64 {
	if r.Deliveries == 0 {
		return 0
	}
	return r.CPU / float64(r.Deliveries) * 1e6
}

// perCPU returns the deliveries per CPU-second of the server.
func (r *Round) perCPU() float64 {
	if r.CPU == 0 {
		return 0
	}
	return float64(r.Deliveries) / r.CPU
}

// finish computes Ratio.
func (r *Report) finish() {
	var ratios []float64
	for i := 0; i+1 < len(r.Rounds); i += 2 {
		a, b := &r.Rounds[i], &r.Rounds[i+1]
		if a.Server != duckwire {
			a, b = b, a
		}
		if b.Server == bareLoop && a.perCPU() > 0 && b.perCPU() > 0 {
			ratios = append(ratios, a.perCPU()/b.perCPU())
		}
	}
	r.Ratio = median(ratios)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	if n := len(v) / 2; len(v)%2 == 1 {
		return v[n]
	} else {
		return (v[n-1] + v[n]) / 2
	}
}

// of returns the rounds of one server.
func (r *Report) of(server string) (rounds []Round) {
	for _, round := range r.Rounds {
		if round.Server == server {
			rounds = append(rounds, round)
		}
	}
	return rounds
}

// middle returns the median of a figure over rounds.
func middle[R any](rounds []R, figure func(*R) float64) float64 {
	v := make([]float64, len(rounds))
	for i := range rounds {
		v[i] = figure(&rounds[i])
	}
	return median(v)
}

// meter measures one round, from begin to end.
type meter struct {
	crowd            *crowd
	server           string
	started          time.Time
	before           usage
	published        uint64
	delivered, bytes uint64
	redisCPU         time.Duration
	scripts          uint64
}

func (c *crowd) begin(server string) *meter {
	m := &meter{crowd: c, server: server, published: c.published()}
	m.delivered, m.bytes = c.delivered()
	c.latency.reset()
	if redis := c.target.redis; redis != nil {
		m.redisCPU, m.scripts = redis.used()
	}
	m.before, m.started = c.target.usage(), time.Now()
	return m
}

func (m *meter) end() Round {
	after := m.crowd.target.usage()
	r := Round{
		Server: m.server, Seconds: round3(time.Since(m.started).Seconds()),
		Published: m.crowd.published() - m.published, Latency: m.crowd.latency.latency(),
	}
	events, bytes := m.crowd.delivered()
	if r.Deliveries = events - m.delivered; r.Deliveries > 0 {
		r.Bytes = float64(bytes-m.bytes) / float64(r.Deliveries)
	}
	if after.known {
		r.CPU, r.Peak, r.Growth = (after.cpu - m.before.cpu).Seconds(), after.peak, after.rss-m.before.rss
	}
	if redis := m.crowd.target.redis; redis != nil {
		cpu, scripts := redis.used()
		r.RedisCPU, r.Scripts = (cpu - m.redisCPU).Seconds(), scripts-m.scripts
	}
	return r
}

func round3(v float64) float64 { return math.Round(v*1000) / 1000 }
