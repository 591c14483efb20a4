package main

import (
	"context"
	"net/http"

	"github.com/tmaxmax/go-sse"
)

// goSSE reads with tmaxmax/go-sse, as its README shows.
func goSSE(ctx context.Context, from source, write func(line)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+from.token)
	conn := sse.NewConnection(req)
	conn.SubscribeToAll(func(e sse.Event) { write(line{e.Type, e.Data, e.LastEventID}) })
	return conn.Connect()
}
