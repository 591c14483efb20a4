package socket_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/hub/rights"
)

// refusing is a Kind that has made a handler before it refuses, unless the client says otherwise.
type refusing struct{ left atomic.Int32 }

func (k *refusing) Join(_ context.Context, _ *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	if string(params) == `"please"` {
		return k, nil
	}
	return k, socket.Refuse("no")
}

func (k *refusing) Handle(context.Context, *socket.Message) error { return nil }

func (k *refusing) Left() { k.left.Add(1) }

func TestLeftIsNotCalledForARefusedJoin(t *testing.T) {
	kind := new(refusing)
	h := hub.New(hub.Options{})
	defer h.Close()
	server := socket.NewServer(socket.Options{
		Hub: h, Routes: []socket.Route{{Pattern: "*", Kind: kind}},
		Identify: func(*http.Request, string) (*rights.Identity, error) { return &rights.Identity{User: "u"}, nil },
	})
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.WebSocket(w, r, func(_ http.ResponseWriter, _ *http.Request, err error) { t.Error(err) })
	}))
	defer edge.Close()
	ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, edge.URL+"/?vsn=2.0.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, params := range []string{`{}`, `"please"`} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(`["1","1","t","phx_join",`+params+`]`)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(ctx); err != nil {
			t.Fatal(err)
		}
	}
	server.Close() // waits for the channels' goroutines
	if n := kind.left.Load(); n != 1 {
		t.Errorf("Left was called %d times for one join that was let in", n)
	}
}
