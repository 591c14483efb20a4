package socket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// eventAccessToken is how a client renews its token: {"token": TOKEN}, on the topic phoenix or on a channel that it has joined. Supabase's client
// does so on each of its channels, and says {"access_token": TOKEN}. The reply is {"expires_in": SECONDS}, null where the new one does not end.
const eventAccessToken = "access_token"

// eventTokenExpiring tells a client that its token ends soon: {"expires_in": SECONDS}. It comes on the topic phoenix, because that is the socket's
// own: every client knows it and none joins it, so those that do not care pass it over. Its name is none of Phoenix's or Supabase's, whose
// clients would make something else of it.
const eventTokenExpiring = "token_expiring"

// warnBefore is how long before a token's end its client is told, if not a third of the token's life is shorter.
const warnBefore = time.Minute

// identity returns whom the client's token names, as of its last renewal.
func (s *Socket) identity() *rights.Identity { return s.currentIdentity.Load() }

// setIdentity makes id the socket's identity from now on.
func (s *Socket) setIdentity(id *rights.Identity) {
	s.currentIdentity.Store(id)
	warnAt := int64(0)
	if !id.Expires.IsZero() {
		warnAt = id.Expires.Add(-min(warnBefore, time.Until(id.Expires)/3)).UnixMilli()
	}
	s.warnAt.Store(warnAt)
}

// expiresIn is what clients are told of a token's end; nil: never.
func expiresIn(id *rights.Identity, now time.Time) map[string]any {
	if id.Expires.IsZero() {
		return map[string]any{"expires_in": nil}
	}
	return map[string]any{"expires_in": max(0, int64(id.Expires.Sub(now)/time.Second))}
}

// watchToken is the sweeper's look at the token: it warns once, and ends the socket at the token's end or after its revocation.
func (s *Socket) watchToken(now time.Time) {
	id, warnAt := s.identity(), s.warnAt.Load()
	switch {
	case s.server.Revoked(id):
		s.transport.close(closeRevoked, revoked)
	case id.Expires.IsZero():
	case !now.Before(id.Expires):
		s.transport.close(closeExpired, "the token has expired")
	case warnAt != 0 && now.UnixMilli() >= warnAt && s.warnAt.CompareAndSwap(warnAt, 0):
		s.post(textFrame(func(dst []byte) []byte {
			return phoenix.AppendText(dst, s.version, nil, nil, phoenix.TopicPhoenix, eventTokenExpiring, encode(expiresIn(id, now)))
		}))
	}
}

// ownRequestsLocked returns the channel, of the topic phoenix, that the socket's own requests wait in: they may take long. s.mu is held.
func (s *Socket) ownRequestsLocked() *Channel {
	if s.ownRequests == nil {
		s.ownRequests = &Channel{socket: s, topic: phoenix.TopicPhoenix, state: joined}
	}
	return s.ownRequests
}

var errNoRenewal = Refuse("tokens are not renewed here: connect anew with another")

// renewal is the payload of eventAccessToken.
type renewal struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
}

// renewToken answers eventAccessToken. The channels that the new token does not allow end behind the reply.
func (c *Channel) renewToken(ctx context.Context, m *Message) error {
	var p renewal
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Token == "" {
		p.Token = p.AccessToken
	}
	if p.Token == "" {
		return errs.Invalid("token", "must be the new token")
	}
	lost, err := c.socket.renew(ctx, p.Token)
	if err != nil {
		return err
	}
	m.Reply(expiresIn(c.socket.identity(), time.Now()))
	for _, l := range lost {
		l.channel.end(l.how)
	}
	return nil
}

// endedChannel is a channel that a renewed token does not allow any more.
type endedChannel struct {
	channel *Channel
	how     ending
}

// renew has the socket go on under another token of the same user, and returns the channels that must end. After an error nothing has changed.
// Errors: those of Options.Renew; errs.ErrForbidden for a token of somebody else; errs.ErrUnavailable if rights cannot be asked for now.
func (s *Socket) renew(ctx context.Context, token string) ([]endedChannel, error) {
	if s.server.Renew == nil {
		return nil, errNoRenewal
	}
	id, err := s.server.Renew(ctx, token)
	if err != nil {
		return nil, err
	}
	s.renewing.Lock()
	defer s.renewing.Unlock()
	before := s.identity()
	switch {
	case id == before: // the same token once more, as from each of Supabase's channels
		return nil, nil
	case id.User != before.User || id.Service != before.Service:
		return nil, fmt.Errorf("the token is not of this socket's user: %w", errs.ErrForbidden)
	}
	s.setIdentity(id) // before the joined channels are listed: a join that is under way asks again by itself
	lost, err := s.reauthorize(ctx)
	if err != nil {
		s.setIdentity(before)
		return nil, err
	}
	return lost, nil
}

// reauthorize asks again for what the joined channels were granted, and returns those that were refused.
func (s *Socket) reauthorize(ctx context.Context) (lost []endedChannel, err error) {
	s.mu.Lock()
	channels := slices.DeleteFunc(slices.Clone(s.channels), func(c *Channel) bool { return c.state != joined })
	s.mu.Unlock()
	for _, c := range channels {
		how, ok, err := c.reauthorize(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			lost = append(lost, endedChannel{c, how})
		}
	}
	return lost, nil
}

// grant is what a join asked for.
type grant struct {
	topic  string
	action rights.Action
}

// recordGrant notes what the join was granted. What is asked later is asked each time, and not noted.
func (c *Channel) recordGrant(topic string, a rights.Action) {
	s := c.socket
	s.mu.Lock()
	if q := (grant{topic, a}); c.state == joining && !slices.Contains(c.grants, q) {
		c.grants = append(c.grants, q)
	}
	s.mu.Unlock()
}

// reauthorize asks again for what the join was granted; ok is false where something is refused now. Who may not hear the topic any more is sent away for
// good; who may do less joins anew, and then gets what there is left. Errors: errs.ErrUnavailable.
func (c *Channel) reauthorize(ctx context.Context) (how ending, ok bool, err error) {
	ok = true
	for _, q := range c.grants {
		err := c.socket.server.Authorizer.Authorize(ctx, c.socket.identity(), q.topic, q.action)
		switch {
		case err == nil:
		case !errors.Is(err, errs.ErrForbidden):
			return 0, false, err
		case q.action == rights.ActionSubscribe:
			return endForbidden, false, nil
		default:
			how, ok = endReduced, false
		}
	}
	return how, ok, nil
}

// reauthorizeAfterJoin is for a join during which the token was renewed: it may have been granted what the new one does not allow.
func (c *Channel) reauthorizeAfterJoin(ctx context.Context) {
	defer c.recoverPanic("event", phoenix.EventJoin)
	how, ok, err := c.reauthorize(ctx)
	switch {
	case err != nil:
		c.end(endReduced) // the next join will ask
	case !ok:
		c.end(how)
	}
}
