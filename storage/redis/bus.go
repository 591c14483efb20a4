package redis

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// bus is the one connection on which a node hears what others publish. It comes back by itself; whoever follows a
// channel is told then that messages may be missing.
type bus struct {
	store *Store
	wake  chan struct{} // the wanted channels have changed

	mu            sync.Mutex
	wanted        map[string][]*follower // by channel
	subscriptions map[string]bool        // channels that this connection has asked for; true: the subscription stands
}

// follower hears one channel. Its functions are called one at a time, and must not block.
type follower struct {
	heard func(message string) // in the order in which Redis published
	gap   func()               // messages may be missing, or the subscription has begun: read what is kept

	calling sync.Mutex // held while one of the two runs: the bus has two goroutines that call them
	told    bool       // that the subscription stands; guarded by bus.mu
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

// follow has f hear a channel until stop is called; f.gap is called once the subscription stands, and again whenever it
// had to be made anew. After stop has returned, neither is called any more, unless one is running just then.
func (b *bus) follow(channel string, f *follower) (stop func()) {
	b.mu.Lock()
	b.wanted[channel] = append(b.wanted[channel], f)
	b.mu.Unlock()
	// Where the subscription stands already, the connection's goroutine tells f: the caller may hold locks that f.gap takes.
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

// run keeps the connection up until the store closes.
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
		b.store.Logger.Warn("the connection to Redis on which other nodes are heard is lost; it is made anew", "error", err)
		pause := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-b.store.ctx.Done():
		}
	}
}

// serve is one connection, until it ends.
func (b *bus) serve(ctx context.Context) error {
	conn, release := b.store.client.Dedicate()
	defer release()
	defer conn.Close() // it is subscribed: nobody else could use it
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

// disconnected notes that the connection has ended: no subscription stands.
func (b *bus) disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.subscriptions)
}

// pingEvery is how often something is asked on the connection: one that nobody answers on would be silent for ever.
const pingEvery = 5 * time.Second

// updateSubscriptions subscribes to what is wanted, and leaves what is not. Whoever follows a channel whose subscription stands
// already is told so: the last one that followed it may have left a moment ago, so that it was never given up.
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

// deliver hands a message to those who follow its channel.
func (b *bus) deliver(m rueidis.PubSubMessage) {
	b.mu.Lock()
	list := b.wanted[m.Channel]
	b.mu.Unlock()
	for _, f := range list {
		f.hear(m.Message)
	}
}

// subscribed tells those who follow a channel that from now on they hear everything.
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

// markTold notes that followers are told that their subscription stands, and returns those who were not. bus.mu is held.
func markTold(list []*follower) (untold []*follower) {
	for _, f := range list {
		if !f.told {
			f.told = true
			untold = append(untold, f)
		}
	}
	return untold
}
