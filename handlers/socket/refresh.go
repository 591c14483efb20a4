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

// eventAccessToken refreshes a client's token: {"token": TOKEN}, on the topic phoenix or on a joined channel.
// Supabase's client sends it on each of its channels as {"access_token": TOKEN}. The reply is {"expires_in": SECONDS};
// null if the new token does not expire.
const eventAccessToken = "access_token"

// eventTokenExpiring tells a client that its token expires soon: {"expires_in": SECONDS}. It is sent on the topic
// phoenix: every client knows that topic and none joins it, so clients that do not handle the event ignore it. Phoenix
// and Supabase define no event of this name, so their clients do not misread it.
const eventTokenExpiring = "token_expiring"

// warnBefore is how long before a token's expiry its client is warned. If a third of the token's remaining lifetime is
// shorter, that is used.
const warnBefore = time.Minute

// identity returns the identity in the client's token, as last refreshed.
func (s *Socket) identity() *rights.Identity { return s.currentIdentity.Load() }

// setIdentity replaces the socket's identity.
func (s *Socket) setIdentity(id *rights.Identity) {
	s.currentIdentity.Store(id)
	warnAt := int64(0)
	if !id.Expires.IsZero() {
		warnAt = id.Expires.Add(-min(warnBefore, time.Until(id.Expires)/3)).UnixMilli()
	}
	s.warnAt.Store(warnAt)
}

// expiresIn encodes when a token expires; null if it does not.
func expiresIn(id *rights.Identity, now time.Time) map[string]any {
	if id.Expires.IsZero() {
		return map[string]any{"expires_in": nil}
	}
	return map[string]any{"expires_in": max(0, int64(id.Expires.Sub(now)/time.Second))}
}

// watchToken is called by the sweeper. It warns the client once, and closes the socket when the token has expired or
// was revoked.
func (s *Socket) watchToken(now time.Time) {
	id, warnAt := s.identity(), s.warnAt.Load()
	switch {
	case s.server.Revoked(id):
		s.transport.close(closeRevoked, revoked)
	case id.Expires.IsZero():
	case !now.Before(id.Expires):
		s.transport.close(closeExpired, "the token has expired")
	case warnAt != 0 && now.UnixMilli() >= warnAt && s.warnAt.CompareAndSwap(warnAt, 0):
		payload := encode(expiresIn(id, now))
		s.post(textFrame(func(dst []byte) []byte {
			return phoenix.AppendText(dst, s.version, nil, nil, phoenix.TopicPhoenix, eventTokenExpiring, payload)
		}))
	}
}

// ownRequestsLocked returns the channel, of the topic phoenix, in which requests to the socket itself queue, because
// they may block. s.mu is held.
func (s *Socket) ownRequestsLocked() *Channel {
	if s.ownRequests == nil {
		s.ownRequests = &Channel{socket: s, topic: phoenix.TopicPhoenix, state: joined}
	}
	return s.ownRequests
}

var errNoRefresh = Refuse("tokens are not renewed here: connect anew with another")

// refreshPayload is the payload of eventAccessToken.
type refreshPayload struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
}

// refreshToken handles eventAccessToken. Channels that the new token does not allow end after the reply.
func (c *Channel) refreshToken(ctx context.Context, m *Message) error {
	var p refreshPayload
	if err := m.Decode(&p); err != nil {
		return err
	}
	if p.Token == "" {
		p.Token = p.AccessToken
	}
	if p.Token == "" {
		return errs.Invalid("token", "must be the new token")
	}
	lost, err := c.socket.refresh(ctx, p.Token)
	if err != nil {
		return err
	}
	m.Reply(expiresIn(c.socket.identity(), time.Now()))
	endAll(lost)
	return nil
}

// RenewToken replaces the token of the client's socket by another one of the same user, as the event access_token does.
// Errors: those of that event.
func (c *Channel) RenewToken(ctx context.Context, token string) error {
	lost, err := c.socket.refresh(ctx, token)
	endAll(lost)
	return err
}

func endAll(lost []endedChannel) {
	for _, l := range lost {
		l.channel.end(l.how)
	}
}

// endedChannel is a channel that a refreshed token does not allow any more.
type endedChannel struct {
	channel *Channel
	how     ending
}

// refresh replaces the socket's token with another token of the same user, or of who acts for it, and returns the
// channels that must end. After an error nothing has changed. Errors: those of Options.Refresh; errs.ErrForbidden for
// another user's token; errs.ErrUnavailable if rights cannot be checked now.
func (s *Socket) refresh(ctx context.Context, token string) ([]endedChannel, error) {
	if s.server.Refresh == nil {
		return nil, errNoRefresh
	}
	id, err := s.server.Refresh(ctx, token)
	if err != nil {
		return nil, err
	}
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	before := s.identity()
	if id == before || id == before.Actor { // the same token again: Supabase's client sends it on each channel
		return nil, nil
	}
	if a := before.Actor; a != nil && id.User == a.User && id.Service == a.Service {
		if id, err = id.ActFor(before.User, time.Now()); err != nil {
			return nil, err
		}
	}
	if id.User != before.User || id.Service != before.Service {
		return nil, fmt.Errorf("the token is not of this socket's user: %w", errs.ErrForbidden)
	}
	s.setIdentity(id) // before the joined channels are listed: a join under way checks its rights again itself
	lost, err := s.reauthorize(ctx)
	if err != nil {
		s.setIdentity(before)
		return nil, err
	}
	return lost, nil
}

// reauthorize checks the rights of the joined channels again, and returns the channels that must end.
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

// grant is a right that a join was granted.
type grant struct {
	topic  string
	action rights.Action
}

// recordGrant records a right that the join was granted. Rights that are checked after the join are checked each time,
// and not recorded.
func (c *Channel) recordGrant(topic string, a rights.Action) {
	s := c.socket
	s.mu.Lock()
	if q := (grant{topic, a}); c.state == joining && !slices.Contains(c.grants, q) {
		c.grants = append(c.grants, q)
	}
	s.mu.Unlock()
}

// reauthorize checks the join's rights again; ok is false if one is refused now. If the client may not subscribe any
// more, the channel ends permanently. If it may do less, it joins again, with the remaining rights. Errors:
// errs.ErrUnavailable.
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

// reauthorizeAfterJoin is called if the token was refreshed during the join, which may have been granted rights that
// the new token does not have.
func (c *Channel) reauthorizeAfterJoin(ctx context.Context) {
	defer c.recoverPanic("event", phoenix.EventJoin)
	how, ok, err := c.reauthorize(ctx)
	switch {
	case err != nil:
		c.end(endReduced) // the next join checks the rights
	case !ok:
		c.end(how)
	}
}
