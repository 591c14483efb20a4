package socket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

// issuer issues tokens, by name.
type issuer map[string]*rights.Identity

func (o issuer) refresh(_ context.Context, token string) (*rights.Identity, error) {
	if id := o[token]; id != nil {
		return id, nil
	}
	return nil, fmt.Errorf("token signature is invalid: %w", errs.ErrUnauthenticated)
}

func (o issuer) identify(r *http.Request, _ string) (*rights.Identity, error) {
	return o.refresh(r.Context(), r.URL.Query().Get("user"))
}

// guarded is a Kind that requires the rights that its topic names: room, or room with presence if allowed.
func guarded(ctx context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
	if err := c.Authorize(ctx, c.Topic(), rights.ActionSubscribe); err != nil {
		return nil, err
	}
	c.Set("seen", c.Authorize(ctx, c.Topic(), rights.ActionPresence) == nil)
	return echo(c), c.Subscribe(c.Topic())
}

func caps(t *testing.T, text map[string][]string) rights.Caps {
	t.Helper()
	c, err := rights.ParseCaps(text, "ada")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startOffice(t *testing.T, o issuer, az rights.Authorizer, routes ...socket.Route) *testServer {
	return start(
		t,
		socket.Options{
			Identify: o.identify, Refresh: o.refresh, Authorizer: az,
			Routes: append(routes, socket.Route{Pattern: "g:*", Kind: kind(guarded)}),
		},
		hub.Limits{},
	)
}

// refreshed expects the reply of a refresh with a token of an hour, on a synctest clock.
func (c *client) refreshed(joinRef, ref, topic string) {
	c.t.Helper()
	c.want(fmt.Sprintf(`[%s,%s,%q,"phx_reply",{"status":"ok","response":{"expires_in":3600}}]`, joinRef, ref, topic))
}

func TestRefreshChecksRightsAgain(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		hour := time.Now().Add(time.Hour)
		all := []string{"subscribe", "presence"}
		o := issuer{
			"old": {User: "ada", Expires: hour, Caps: caps(
				t, map[string][]string{"g:kept": all, "g:lost": all, "g:less": all, "g:more": {"subscribe"}},
			)},
			"new": {User: "ada", Expires: hour, Caps: caps(
				t, map[string][]string{"g:kept": all, "g:less": {"subscribe"}, "g:more": all},
			)},
			"bob": {User: "bob", Expires: hour, Caps: caps(t, map[string][]string{"*": {"*"}})},
			"key": {User: "ada", Service: true, Caps: caps(t, map[string][]string{"*": {"*"}})},
		}
		s := startOffice(t, o, nil)
		c := s.dial("user=old")
		for i, name := range []string{"kept", "lost", "less", "more"} {
			c.send(fmt.Sprintf(`["%d","%d","g:%s","phx_join",{}]`, i, i, name))
			c.want(
				fmt.Sprintf(`["%d","%d","g:%s","phx_reply",{"status":"ok","response":{"seen":%t}}]`, i, i, name, name != "more"),
			)
		}
		for token, reason := range map[string]string{
			"forged": "unauthorized", "bob": "forbidden", "key": "forbidden", "": "invalid",
		} {
			c.send(fmt.Sprintf(`[null,"r","phoenix","access_token",{"token":%q}]`, token))
			if got := c.next(); !strings.HasPrefix(
				got, fmt.Sprintf(`[null,"r","phoenix","phx_reply",{"status":"error","response":{"reason":%q`, reason),
			) {
				t.Errorf("the token %q: %s", token, got)
			}
		}
		c.settled() // no channel ended
		c.send(`["0","9","g:kept","access_token",{"access_token":"new"}]`)
		c.refreshed(`"0"`, `"9"`, "g:kept")
		c.want(
			`["1","1","g:lost","phx_close",{"reason":"forbidden"}]`,
			`["2","2","g:less","phx_error",{"reason":"rights_changed"}]`,
		)
		c.send(`["5","5","g:less","phx_join",{}]`)
		c.want(`["5","5","g:less","phx_reply",{"status":"ok","response":{"seen":false}}]`)
		c.send(`["6","6","g:lost","phx_join",{}]`)
		if got := c.next(); !strings.Contains(got, `"reason":"forbidden"`) {
			t.Errorf("the lost channel again: %s", got)
		}
		for _, ref := range []string{"0", "3"} { // events continue without a gap
			topic := map[string]string{"0": "g:kept", "3": "g:more"}[ref]
			news := []hub.EventInput{{Event: "news", Payload: json.RawMessage(`{}`)}}
			if _, err := s.hub.Publish(topic, "x", news); err != nil {
				t.Fatal(err)
			}
			c.want(fmt.Sprintf(`[null,null,%q,"news",{}]`, topic))
		}
		c.send(`[null,"7","phoenix","access_token",{"token":"new"}]`) // the same once more
		c.refreshed("null", `"7"`, "phoenix")
		c.settled()
	})
}

// TestRefreshOnAChannelThatItEnds: if the refresh ends the channel on which it was sent, its reply comes first.
func TestRefreshOnAChannelThatItEnds(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		hour := time.Now().Add(time.Hour)
		o := issuer{
			"old": {User: "ada", Expires: hour, Caps: caps(t, map[string][]string{"g:a": {"subscribe"}})},
			"new": {User: "ada", Expires: hour},
		}
		c := startOffice(t, o, nil).dial("user=old")
		c.send(`["1","1","g:a","phx_join",{}]`)
		c.want(`["1","1","g:a","phx_reply",{"status":"ok","response":{"seen":false}}]`)
		c.send(`["1","2","g:a","access_token",{"token":"new"}]`)
		c.refreshed(`"1"`, `"2"`, "g:a")
		c.want(`["1","1","g:a","phx_close",{"reason":"forbidden"}]`)
		c.send(`["1","3","g:a","access_token",{"token":"new"}]`)
		c.want(unmatched(`"3"`, "g:a"))
	})
}

// authorizer is a rights.Authorizer made of a function.
type authorizer func(id *rights.Identity, topic string) error

func (f authorizer) Authorize(_ context.Context, id *rights.Identity, topic string, _ rights.Action) error {
	return f(id, topic)
}

// TestRefreshDuringAJoin: a join that was authorized with the old token, and is decided after the refresh, is checked
// with the new one.
func TestRefreshDuringAJoin(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		hour := time.Now().Add(time.Hour)
		old, fresh := &rights.Identity{User: "ada", Expires: hour}, &rights.Identity{User: "ada", Expires: hour}
		g := newGate()
		slow := kind(func(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
			if err := c.Authorize(ctx, c.Topic(), rights.ActionSubscribe); err != nil {
				return nil, err
			}
			return g.Join(ctx, c, params)
		})
		az := authorizer(func(id *rights.Identity, topic string) error {
			if id == fresh {
				return rights.Forbidden(topic, rights.ActionSubscribe)
			}
			return nil
		})
		s := startOffice(t, issuer{"old": old, "new": fresh}, az, socket.Route{Pattern: "slow", Kind: slow})
		c := s.dial("user=old")
		c.send(`["1","1","slow","phx_join",{}]`)
		<-g.entered
		c.send(`[null,"2","phoenix","access_token",{"token":"new"}]`)
		c.refreshed("null", `"2"`, "phoenix")
		g.open <- true
		c.want(ok(`"1"`, `"1"`, "slow"), `["1","1","slow","phx_close",{"reason":"forbidden"}]`)
	})
}

// TestRefreshWhileRightsAreUnknown: while rights cannot be checked, the old token stays valid, and no channel ends.
func TestRefreshWhileRightsAreUnknown(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		hour := time.Now().Add(time.Hour)
		old, fresh := &rights.Identity{User: "ada", Expires: hour}, &rights.Identity{User: "ada", Expires: hour}
		var down atomic.Bool
		az := authorizer(func(id *rights.Identity, topic string) error {
			switch {
			case id == old || topic == "g:b":
				return nil
			case down.Load():
				return errs.ErrUnavailable
			}
			return rights.Forbidden(topic, rights.ActionSubscribe)
		})
		down.Store(true)
		c := startOffice(t, issuer{"old": old, "new": fresh}, az).dial("user=old")
		for _, name := range []string{"a", "b"} {
			c.send(fmt.Sprintf(`["1","1","g:%s","phx_join",{}]`, name))
			c.want(fmt.Sprintf(`["1","1","g:%s","phx_reply",{"status":"ok","response":{"seen":true}}]`, name))
		}
		c.send(`[null,"2","phoenix","access_token",{"token":"new"}]`)
		if got := c.next(); !strings.Contains(got, `{"status":"error","response":{"reason":"unavailable"`) {
			t.Fatal(got)
		}
		c.send(`["1","3","g:a","hello",{}]`)
		c.want(ok(`"1"`, `"3"`, "g:a"))
		down.Store(false)
		c.send(`[null,"4","phoenix","access_token",{"token":"new"}]`)
		c.refreshed("null", `"4"`, "phoenix")
		c.want(`["1","1","g:a","phx_close",{"reason":"forbidden"}]`)
		c.settled()
	})
}

// TestRefreshThatHangs: a slow refresh blocks nothing else, and leaves nothing behind if the client disconnects.
func TestRefreshThatHangs(t *testing.T) {
	entered, left := make(chan struct{}, 1), make(chan struct{}, 1)
	id := &rights.Identity{User: "ada", Expires: time.Now().Add(time.Hour)}
	s := start(t, socket.Options{Refresh: func(ctx context.Context, _ string) (*rights.Identity, error) {
		entered <- struct{}{}
		<-ctx.Done()
		left <- struct{}{}
		return nil, ctx.Err()
	}, Identify: func(*http.Request, string) (*rights.Identity, error) { return id, nil }}, hub.Limits{})
	c := s.dial("")
	c.send(`[null,"1","phoenix","access_token",{"token":"new"}]`)
	<-entered
	c.settled()
	c.conn.CloseNow()
	<-left
}

func TestTokenExpiringIsSent(t *testing.T) {
	hubtest.OwnClock(t, func(t *testing.T) {
		short := &rights.Identity{User: "ada", Expires: time.Now().Add(6 * time.Second)}
		// the client is told of the expiry after 4 s
		o := issuer{"old": short, "new": {User: "ada", Expires: time.Now().Add(4*time.Second + time.Hour)}}
		s := startOffice(t, o, nil)
		c, other := s.dial("user=old"), s.dial("user=old")
		if got := c.next(); !strings.HasPrefix(got, `[null,null,"phoenix","token_expiring",{"expires_in":`) {
			t.Fatal(got)
		}
		c.send(`[null,"1","phoenix","access_token",{"token":"new"}]`)
		c.refreshed("null", `"1"`, "phoenix")
		if got := other.next(); !strings.HasPrefix(got, `[null,null,"phoenix","token_expiring",{"expires_in":`) {
			t.Fatal(got)
		}
		if _, data, err := other.conn.Read(other.ctx); websocket.CloseStatus(err) != 4001 { // notified once
			t.Fatalf("%s, %v", data, err)
		}
		c.settled() // it continues after the old token's expiry
	})
}
