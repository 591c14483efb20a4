package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/nshafer/phx"
)

// phxTopic follows a topic with nshafer/phx. Its refs are numbers: it drops a frame with a position in its ref, so a join
// asks for none. And it starts a goroutine for each message, so order is a matter of luck. A message is therefore taken
// only as a sign that there is news, which comes from the topic's history.
func phxTopic(ctx context.Context, from source, write func(line)) error {
	news := make(chan struct{}, 1)
	ring := func(any) {
		select {
		case news <- struct{}{}:
		default: // it has rung
		}
	}
	address, err := url.Parse(from.url)
	if err != nil {
		return err
	}
	topic := address.Query().Get("topic")
	if err := phxJoin(*address, from.token, topic, ring); err != nil {
		return err
	}
	for after := "0"; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-time.After(time.Second): // a message may be lost
		}
		page, err := history(ctx, *address, from.token, topic, after)
		if err != nil {
			continue // at the next ring
		}
		after = page.Position
		for _, event := range page.Events {
			write(line{event.Event, string(event.Payload), event.Position})
		}
	}
}

// phxJoin joins a topic, and calls ring when it is joined and for each of its events news. The connection lives as long as
// the program.
func phxJoin(address url.URL, token, topic string, ring func(any)) error {
	address.Path = "/socket"
	address.RawQuery = url.Values{"token": {token}}.Encode()
	socket := phx.NewSocket(&address)
	socket.ReconnectAfterFunc = func(int) time.Duration { return 20 * time.Millisecond }
	channel := socket.Channel(topic, nil)
	channel.RejoinAfterFunc = socket.ReconnectAfterFunc
	channel.OnJoin(ring)
	channel.On("news", ring)
	if err := socket.Connect(); err != nil {
		return err
	}
	_, err := channel.Join()
	return err
}

// events is a page of a topic's history.
type events struct {
	Events []struct {
		Event, Position string
		Payload         json.RawMessage
	}
	Position string
}

// history asks for what came after a position.
func history(ctx context.Context, address url.URL, token, topic, after string) (page events, err error) {
	address.Path = "/v1/topics/" + topic + "/events"
	address.RawQuery = url.Values{"after": {after}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return page, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return page, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return page, fmt.Errorf("history: %s", answer.Status)
	}
	return page, json.NewDecoder(answer.Body).Decode(&page)
}
