package openai

import (
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
)

// Spec returns the spec of the request's stream, which id owns. keep is the default if the request has none.
func (r *Request) Spec(kind string, id *rights.Identity, keep hub.IdlePolicy) hub.StreamSpec {
	if r.Keep != nil {
		keep = *r.Keep
	}
	return hub.StreamSpec{
		Alias: r.ID, Digest: r.Digest(), Kind: kind, Topic: r.Topic, Owner: id.User, Key: id.Key(),
		ContentType: "text/plain; charset=utf-8", Idle: keep, Slot: r.Slot, Supersede: r.Supersede,
	}
}
