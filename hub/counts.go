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

// counts is what has happened since the hub's start. What hot paths touch are single atomic additions; the rest is
// rare.
type counts struct {
	shards  [counterShards]counterShard
	readers [counterShards][Transports]readerCounts
	next    atomic.Uint32 // the tally of the next reader

	events     atomic.Uint64 // published, that went into a log
	ephemerals atomic.Uint64 // published, that did not

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

// tallies is how many parts there are.
const counterShards = 16

// tally is one part of what readers are counted in. They are spread over several, so that many who read at one time do
// not wait for one line of the processors' memory.
type counterShard struct {
	single    [Transports]atomic.Uint64 // items that readers were given alone, and one entry behind: nearly all, so they take one addition
	delivered [Transports]atomic.Uint64 // all others
	tokens    atomic.Uint64
	resets    [len(resetReasons)]atomic.Uint64
	lag       *meter.Histogram
	_         [64]byte
}

var resetReasons = [...]log.ResetReason{log.ResetEpoch, log.ResetTrimmed, log.ResetAhead}

// A Client is a Waker that says over which transport its reader's items go to a client. They are counted then.
type Client interface {
	log.Waker
	Transport() Transport
}

// readerCounts is where the items of readers over one transport are counted: the Observer of such a reader.
type readerCounts struct {
	shard *counterShard
	via   Transport
}

// observer returns where the items of a reader with that wake are counted; nil: nowhere.
func (c *counts) observer(wake log.Waker) log.Observer {
	via := ViaWait
	switch w := wake.(type) {
	case Client:
		via = w.Transport()
	case *log.Wake: // of a request that waits
	default:
		return nil
	}
	return &c.readers[c.next.Add(1)%counterShards][via]
}

// Items implements Observer.
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

// Tokens implements Observer.
func (r *readerCounts) Tokens(n int) {
	if n > 0 {
		r.shard.tokens.Add(uint64(n))
	}
}

// Reset implements Observer.
func (r *readerCounts) Reset(reason log.ResetReason) {
	r.shard.resets[slices.Index(resetReasons[:], reason)].Add(1)
}

// latest counts items that have no place in a log. r may be nil.
func (r *readerCounts) addEphemeral(n int) {
	if r != nil && n > 0 {
		r.shard.delivered[r.via].Add(uint64(n))
	}
}

// streamKind is a stream's kind as it is counted: what producers call their streams are words from outside.
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

// codeUnwatched is the error of a stream that was cancelled because nobody watched it.
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

// providerCodes are what a provider's errors are counted as: the codes of hub/provider/… and of the hub, and behind
// them what stands for the many that upstreams have of their own.
var providerCodes = [...]string{
	"upstream_unreachable", "upstream_timeout", "upstream_truncated", "upstream_invalid", "upstream_redirect", "upstream_unauthorized", "upstream_error",
	"bad_answer", "internal", "provider_error", "rate_limited", "refused",
}

// providerError counts what a provider ended with.
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

// CountLimit counts that a client was refused, if err is a *LimitError. Whoever tells the client calls it.
func (h *Hub) CountLimit(err error) {
	var limit *errs.LimitError
	if errors.As(err, &limit) {
		h.counts.limits.Add(limit.Setting())
	}
}
