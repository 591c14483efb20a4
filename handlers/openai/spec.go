package openai

import (
	"github.com/duckwire/duckwire/hub"
)

// Spec is the stream that the request makes, of that kind and owner. keep counts where the request says nothing of it.
func (r *Request) Spec(kind, owner string, keep hub.Keep) hub.StreamSpec {
	if r.Keep != nil {
		keep = *r.Keep
	}
	return hub.StreamSpec{
		Alias: r.ID, Digest: r.Digest(), Kind: kind, Topic: r.Topic, Owner: owner, ContentType: "text/plain; charset=utf-8",
		Keep: keep, Slot: r.Slot, Supersede: r.Supersede,
	}
}
