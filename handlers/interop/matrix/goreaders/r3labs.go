package main

import (
	"context"
	"encoding/json"
	"time"

	sse "github.com/r3labs/sse/v2"
	"gopkg.in/cenkalti/backoff.v1"
)

// r3labsAsItIs reads with r3labs/sse, as its README shows. At a cut it hands over the half of a block as if it were whole,
// and takes the half of its id for the position. It does not come back after a clean end.
func r3labsAsItIs(ctx context.Context, from source, write func(line)) error {
	client := r3labsClient(from)
	return client.SubscribeRawWithContext(ctx, func(e *sse.Event) { write(line{string(e.Event), string(e.Data), string(e.ID)}) })
}

// r3labs lets the client make one try at a time, without retries of its own. The position is that of the last event
// that was whole: whose data is JSON, and whose id came with it. What the client itself believes is overwritten.
func r3labs(ctx context.Context, from source, write func(line)) error {
	client := r3labsClient(from)
	client.ReconnectStrategy = &backoff.StopBackOff{}
	for last := []byte(nil); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if last != nil {
			client.LastEventID.Store(last)
		}
		_ = client.SubscribeRawWithContext(ctx, func(e *sse.Event) { // fails at each cut
			position, whole := positionOf(e)
			if !whole {
				return
			}
			last = position
			write(line{string(e.Event), string(e.Data), string(e.ID)})
		})
	}
	return ctx.Err()
}

// positionOf returns an event's position, and whether the event is whole. An id that was cut is shorter than the position
// in the data, where the server also writes it.
func positionOf(e *sse.Event) (position []byte, whole bool) {
	var data struct {
		Position string `json:"position"`
	}
	if json.Unmarshal(e.Data, &data) != nil || len(e.ID) == 0 {
		return nil, false
	}
	return e.ID, data.Position == "" || data.Position == string(e.ID)
}

func r3labsClient(from source) *sse.Client {
	client := sse.NewClient(from.url)
	client.Headers["Authorization"] = "Bearer " + from.token
	return client
}
