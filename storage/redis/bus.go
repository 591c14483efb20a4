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
	wake  chan struct{} // signals that wanted has changed

	mu            sync.Mutex
	wanted        map[string][]*follower // by channel
	subscriptions map[string]bool        // channels that this connection has subscribed to; true: Redis has confirmed it
}

// follower receives the messages of one channel. Its functions are called one at a time, and must not block.
type follower struct {
	heard func(message string) // called in the order of publication
	// called when messages may be missing, and when the subscription begins: read the stored state
	gap func()

	calling sync.Mutex // serializes the two functions: two goroutines of the bus call them
	told    bool       // whether gap was called for the confirmed subscription; guarded by bus.mu
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
	return &bus{store: s, wake: make(chan struct{}, 1), wanted: make(map[string][]*follower)}
}

// follow subscribes f to a channel until stop is called. f.gap is called once the subscription is confirmed, and each
// time it was made again after a lost connection. After stop has returned, a call that was running may still finish,
// and no other begins.
func (b *bus) follow(channel string, f *follower) (stop func()) {
	b.mu.Lock()
	b.wanted[channel] = append(b.wanted[channel], f)
	b.mu.Unlock()
	// If the channel is subscribed already, run calls f.gap: the caller may hold locks that f.gap takes.
	b.signal()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		list := slices.DeleteFunc(slices.Clone(b.wanted[channel]), func(g *follower) bool { return g == f })
		if len(list) > 0 {
			b.wanted[channel] = list
			return
		}
		delete(b.wanted, channel)
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
		pause := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
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
	var more, less []string
	var late []*follower
	for channel, list := range b.wanted {
		stands, asked := b.subscriptions[channel]
		switch {
		case stands:
			late = append(late, markTold(list)...)
		case !asked:
			more = append(more, channel)
			b.subscriptions[channel] = false
		}
	}
	for channel := range b.subscriptions {
		if b.wanted[channel] == nil {
			less = append(less, channel)
			delete(b.subscriptions, channel)
		}
	}
	b.mu.Unlock()
	for _, f := range late {
		f.missed()
	}
	for part := range slices.Chunk(more, 256) {
		if err := b.subscribe(ctx, conn, part...); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(less, 256) {
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
	list := b.wanted[m.Channel]
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
	if _, asked := b.subscriptions[s.Channel]; asked {
		b.subscriptions[s.Channel] = true
	}
	list := b.wanted[s.Channel]
	markTold(list)
	b.mu.Unlock()
	for _, f := range list {
		f.missed()
	}
}

// markTold marks followers as told that the subscription is confirmed, and returns those that were not. bus.mu must be
// locked.
func markTold(list []*follower) (untold []*follower) {
	for _, f := range list {
		if !f.told {
			f.told = true
			untold = append(untold, f)
		}
	}
	return untold
}
