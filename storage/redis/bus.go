package redis

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// bus is the one connection on which a node receives what others publish. It reconnects by itself, and then tells
// followers that messages may be missing.
type bus struct {
	store *Store
	wake  chan struct{} // signals that followers has changed

	mu            sync.Mutex
	followers     map[string][]*follower // by channel
	subscriptions map[string]bool        // channels that were subscribed to on this connection; true: confirmed
}

// follower receives the messages of one channel. Its functions are called one at a time, and must not block.
type follower struct {
	heard func(message string) // called in the order of publication
	// called when messages may be missing, and when the subscription begins: read the stored state
	gap func()

	calling  sync.Mutex // serializes the two functions: two goroutines of the bus call them
	notified bool       // whether gap was called for the confirmed subscription; guarded by bus.mu
}

func (f *follower) hear(message string) {
	f.calling.Lock()
	defer f.calling.Unlock()
	f.heard(message)
}

func (f *follower) missed() {
	f.calling.Lock()
	defer f.calling.Unlock()
	f.gap()
}

func newBus(s *Store) *bus {
	return &bus{store: s, wake: make(chan struct{}, 1), followers: make(map[string][]*follower)}
}

// follow subscribes f to a channel until stop is called. f.gap is called once the subscription is confirmed, and each
// time it was made again after a lost connection. After stop has returned, a call that was running may still finish,
// and no other begins.
func (b *bus) follow(channel string, f *follower) (stop func()) {
	b.mu.Lock()
	b.followers[channel] = append(b.followers[channel], f)
	b.mu.Unlock()
	// If the channel is subscribed already, run calls f.gap: the caller may hold locks that f.gap takes.
	b.signal()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		list := slices.DeleteFunc(slices.Clone(b.followers[channel]), func(g *follower) bool { return g == f })
		if len(list) > 0 {
			b.followers[channel] = list
			return
		}
		delete(b.followers, channel)
		b.signal()
	}
}

func (b *bus) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run keeps the connection open until the store closes.
func (b *bus) run() {
	for failures := 0; b.store.ctx.Err() == nil; failures++ {
		began := time.Now()
		err := b.serve(b.store.ctx)
		if b.store.ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		b.store.Logger.Warn("the pub/sub connection to Redis is lost; reconnecting", "error", err)
		delay := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
		select {
		case <-time.After(delay/2 + rand.N(delay)):
		case <-b.store.ctx.Done():
		}
	}
}

// serve runs one connection until it fails.
func (b *bus) serve(ctx context.Context) error {
	conn, release := b.store.client.Dedicate()
	defer release()
	defer conn.Close() // not back to the pool: it is subscribed
	lost := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: b.deliver, OnSubscription: b.subscribed})
	b.mu.Lock()
	b.subscriptions = make(map[string]bool)
	b.mu.Unlock()
	defer b.disconnected()
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		if err := b.updateSubscriptions(ctx, conn); err != nil {
			return err
		}
		select {
		case err := <-lost:
			return err
		case <-b.wake:
		case <-tick.C:
			if err := b.subscribe(ctx, conn, b.store.aliveChannel()); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// disconnected records that no subscription exists any more.
func (b *bus) disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.subscriptions)
}

// pingEvery is the interval of pings. Without them, a dead connection would look like one without messages.
const pingEvery = 5 * time.Second

// updateSubscriptions subscribes to new channels and unsubscribes from unused ones. It also calls gap of new followers
// of channels that are subscribed already, for example because the last follower left a moment ago and the channel was
// not unsubscribed yet.
func (b *bus) updateSubscriptions(ctx context.Context, conn rueidis.DedicatedClient) error {
	b.mu.Lock()
	var added, removed []string
	var late []*follower
	for channel, list := range b.followers {
		confirmed, requested := b.subscriptions[channel]
		switch {
		case confirmed:
			late = append(late, markNotified(list)...)
		case !requested:
			added = append(added, channel)
			b.subscriptions[channel] = false
		}
	}
	for channel := range b.subscriptions {
		if b.followers[channel] == nil {
			removed = append(removed, channel)
			delete(b.subscriptions, channel)
		}
	}
	b.mu.Unlock()
	for _, f := range late {
		f.missed()
	}
	for part := range slices.Chunk(added, 256) {
		if err := b.subscribe(ctx, conn, part...); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(removed, 256) {
		if err := b.do(ctx, conn, conn.B().Unsubscribe().Channel(part...).Build()); err != nil {
			return err
		}
	}
	return nil
}

func (b *bus) subscribe(ctx context.Context, conn rueidis.DedicatedClient, channels ...string) error {
	return b.do(ctx, conn, conn.B().Subscribe().Channel(channels...).Build())
}

func (b *bus) do(ctx context.Context, conn rueidis.DedicatedClient, command rueidis.Completed) error {
	ctx, cancel := context.WithTimeout(ctx, b.store.Timeout)
	defer cancel()
	return conn.Do(ctx, command).Error()
}

// deliver passes a message to the followers of its channel.
func (b *bus) deliver(m rueidis.PubSubMessage) {
	b.mu.Lock()
	list := b.followers[m.Channel]
	b.mu.Unlock()
	for _, f := range list {
		f.hear(m.Message)
	}
}

// subscribed calls gap of a channel's followers: from now on they get every message.
func (b *bus) subscribed(s rueidis.PubSubSubscription) {
	if s.Kind != "subscribe" {
		return
	}
	b.mu.Lock()
	if _, requested := b.subscriptions[s.Channel]; requested {
		b.subscriptions[s.Channel] = true
	}
	list := b.followers[s.Channel]
	markNotified(list)
	b.mu.Unlock()
	for _, f := range list {
		f.missed()
	}
}

// markNotified marks followers as notified that the subscription is confirmed, and returns those that were not yet. The
// caller holds bus.mu.
func markNotified(list []*follower) (late []*follower) {
	for _, f := range list {
		if !f.notified {
			f.notified = true
			late = append(late, f)
		}
	}
	return late
}
