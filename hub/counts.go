package hub

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/meter"
)

// counts counts events since the hub's start. Hot paths make one atomic addition each.
type counts struct {
	shards  [counterShards]counterShard
	readers [counterShards][Transports]readerCounts
	next    atomic.Uint32 // picks the shard of the next reader

	events     atomic.Uint64 // published with a position
	ephemerals atomic.Uint64 // published without a position

	made, unwatched atomic.Uint64 // tokens
	firstToken      *meter.Histogram
	started         [streamKinds]atomic.Uint64
	ended           [streamKinds][len(endStatuses)]atomic.Uint64
	cancelled       [len(cancelReasons)]atomic.Uint64

	providerErrors [len(providerCodes)]atomic.Uint64
	limits         meter.Names
}

func (c *counts) init() {
	for i := range c.shards {
		c.shards[i].lag = meter.NewHistogram(1, 4, 16, 64, 256, 1024, 4096)
		for via := range Transport(Transports) {
			c.readers[i][via] = readerCounts{&c.shards[i], via}
		}
	}
	c.firstToken = meter.NewHistogram(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
}

// counterShards is the number of shards.
const counterShards = 16

// counterShard is a part of the counters of readers. Readers are spread over the shards, so that concurrent readers do
// not contend for one cache line.
type counterShard struct {
	// single counts items that readers got alone and one entry behind the tail. These are nearly all, so they take one
	// addition each, and no observation of lag.
	single    [Transports]atomic.Uint64
	delivered [Transports]atomic.Uint64 // all other items
	tokens    atomic.Uint64
	resets    [len(resetReasons)]atomic.Uint64
	lag       *meter.Histogram
	_         [64]byte
}

var resetReasons = [...]log.ResetReason{log.ResetEpoch, log.ResetTrimmed, log.ResetAhead}

// A Client is a Waker that names the transport by which its reader's items reach a client. Its items are counted by
// transport.
type Client interface {
	log.Waker
	Transport() Transport
}

// readerCounts is the log.Observer of readers over one transport: it counts their items.
type readerCounts struct {
	shard *counterShard
	via   Transport
}

// observer returns the Observer of a reader with that wake; nil: its items are not counted.
func (c *counts) observer(wake log.Waker) log.Observer {
	via := ViaWait
	switch w := wake.(type) {
	case Client:
		via = w.Transport()
	case *log.Wake: // a request that waits
	default:
		return nil
	}
	return &c.readers[c.next.Add(1)%counterShards][via]
}

// Items implements log.Observer.
func (r *readerCounts) Items(n int, behind uint64) {
	switch {
	case n == 0:
	case n == 1 && behind == 1:
		r.shard.single[r.via].Add(1)
	default:
		r.shard.delivered[r.via].Add(uint64(n))
		r.shard.lag.Observe(float64(behind))
	}
}

// Tokens implements log.Observer.
func (r *readerCounts) Tokens(n int) {
	if n > 0 {
		r.shard.tokens.Add(uint64(n))
	}
}

// Reset implements log.Observer.
func (r *readerCounts) Reset(reason log.ResetReason) {
	r.shard.resets[slices.Index(resetReasons[:], reason)].Add(1)
}

// addEphemeral counts ephemeral events, which are not in a log. r may be nil.
func (r *readerCounts) addEphemeral(n int) {
	if r != nil && n > 0 {
		r.shard.delivered[r.via].Add(uint64(n))
	}
}

// streamKind is the label of a stream in counters. Producers choose the kinds of their streams, so all of these share
// one label: labels must not grow without bound.
type streamKind int

const (
	kindCompletion streamKind = iota
	kindAnalysis
	kindOther
	streamKinds = iota
)

func kindOf(s *Stream) streamKind {
	switch s.Kind {
	case "completion":
		return kindCompletion
	case "analysis":
		return kindAnalysis
	}
	return kindOther
}

func (k streamKind) String() string {
	return [streamKinds]string{"completion", "analysis", "other"}[k]
}

var (
	endStatuses   = [...]Status{StatusDone, StatusFailed, StatusCancelled, StatusSuperseded, StatusInterrupted}
	cancelReasons = [...]string{"client", codeUnwatched}
)

// codeUnwatched is the error code of a stream that was cancelled because nobody watched it.
const codeUnwatched = "unwatched"

// end counts the end of a stream.
func (c *counts) end(s *Stream, status Status, e *EndError) {
	for i, known := range endStatuses {
		if known == status {
			c.ended[kindOf(s)][i].Add(1)
		}
	}
	if status == StatusCancelled {
		reason := 0
		if e != nil && e.Code == codeUnwatched {
			reason = 1
		}
		c.cancelled[reason].Add(1)
	}
}

// providerCodes are the labels of providers' errors: the codes of hub/provider/… and of the hub, and behind them labels
// for the codes of upstreams, of which there may be any number.
var providerCodes = [...]string{
	"upstream_unreachable", "upstream_timeout", "upstream_truncated", "upstream_invalid", "upstream_redirect",
	"upstream_unauthorized", "upstream_error",
	"bad_answer", "internal", "provider_error", "rate_limited", "refused",
}

// providerError counts the error of a provider.
func (c *counts) providerError(err error) {
	code := providerCode(err)
	for i, known := range providerCodes {
		if known == code {
			c.providerErrors[i].Add(1)
		}
	}
}

func providerCode(err error) string {
	var p *ProviderError
	switch {
	case !errors.As(err, &p):
		return "provider_error"
	case slices.Contains(providerCodes[:], p.Code):
		return p.Code
	case p.Status == http.StatusTooManyRequests:
		return "rate_limited"
	case p.Status >= 400 && p.Status < 500:
		return "refused"
	}
	return "upstream_error"
}

// CountLimit counts the refusal of a request, if err is a *LimitError. It is called when the client is told.
func (h *Hub) CountLimit(err error) {
	var limit *errs.LimitError
	if errors.As(err, &limit) {
		h.counts.limits.Add(limit.Setting())
	}
}
