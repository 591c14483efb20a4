// Package pool asks several upstreams for completions: the first that serves the model and is not known to fail, and
// the next one if it fails before the first token.
package pool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/duckwire/duckwire/hub"
)

// Upstream is what a Pool needs of a provider.
type Upstream interface {
	hub.Provider
	hub.Analyzer
	hub.Forwarder
}

// Member is one upstream of a Pool.
type Member struct {
	Name     string // unique; for logs and for who runs the server
	Upstream Upstream

	// Models are the models that it serves: names, or patterns that begin or end with *, such as gpt-*. None: every
	// model.
	Models []string
	Model  string // that it takes for requests which name none; it serves this one, too; "": none

	Host    string // for hub.UpstreamStatus, as the next
	Dialect string
}

// Options configures a Pool. Members is required.
type Options struct {
	Members []Member
	Logger  *slog.Logger // nil: slog.Default
}

// Pool is a provider that asks its members in order. Safe for concurrent use.
//
// A member that has failed is asked after the others for a pause, which doubles with each failure from 1 s to 1 min.
// After the pause one request at a time tries it in its place. If all members that serve a model have failed lately,
// they are asked in order all the same. So the pool never refuses a request because of an earlier failure.
type Pool struct {
	members []*member
	logger  *slog.Logger
}

var _ Upstream = (*Pool)(nil)

type member struct {
	Member
	health health
}

// New validates the options and returns a Pool. Close closes the members' providers.
func New(o Options) (*Pool, error) {
	if len(o.Members) == 0 {
		return nil, errors.New("a pool needs an upstream")
	}
	p := &Pool{logger: cmp.Or(o.Logger, slog.Default())}
	for _, m := range o.Members {
		if m.Name == "" || m.Upstream == nil {
			return nil, errors.New("an upstream needs a name and a provider")
		}
		if slices.ContainsFunc(p.members, func(other *member) bool { return other.Name == m.Name }) {
			return nil, fmt.Errorf("two upstreams are called %q", m.Name)
		}
		for _, pattern := range m.Models {
			if err := ValidPattern(pattern); err != nil {
				return nil, fmt.Errorf("upstream %s: models: %w", m.Name, err)
			}
		}
		p.members = append(p.members, &member{Member: m})
	}
	return p, nil
}

// Close closes the members' providers.
func (p *Pool) Close() error {
	var all []error
	for _, m := range p.members {
		if c, ok := m.Upstream.(io.Closer); ok {
			all = append(all, c.Close())
		}
	}
	return errors.Join(all...)
}

// Upstreams returns the members' states in order.
func (p *Pool) Upstreams() []hub.UpstreamStatus {
	list := make([]hub.UpstreamStatus, len(p.members))
	for i, m := range p.members {
		list[i] = m.health.status()
		list[i].Name, list[i].Host, list[i].Dialect, list[i].Models = m.Name, m.Host, m.Dialect, slices.Clone(m.Models)
		if l, ok := m.Upstream.(interface{ Learned() []string }); ok {
			list[i].Learned = l.Learned()
		}
	}
	return list
}
