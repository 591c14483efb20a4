package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/duckwire/duckwire/handlers/phoenix"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/hub/rights"
)

// realtime is the kind of realtime:*, the topics of Supabase's clients (github.com/supabase/realtime,
// lib/realtime_web/channels/realtime_channel.ex). A join with "config" speaks their protocol; any other is that of a
// plain channel. All share the topic's log, where a broadcast is the event "broadcast", phoenix.UserBroadcast.
type realtime struct{}

// Join implements socket.Kind.
func (realtime) Join(ctx context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
	p, err := readRealtimeJoin(params)
	if err != nil {
		return nil, err
	}
	if p.Config == nil {
		return plain{}.Join(ctx, c, params)
	}
	if p.AccessToken != "" {
		if err := c.RenewToken(ctx, p.AccessToken); err != nil {
			return nil, err
		}
	}
	if err := enter(ctx, c); err != nil {
		return nil, err
	}
	if err := answerPostgresChanges(c, p.Config); err != nil {
		return nil, err
	}
	h := &realtimeHandler{publisher: publisher{c}, config: p.Config, key: p.Config.Presence.Key.text}
	if h.key == "" {
		h.key = c.Client()
	}
	if p.Config.Presence.Enabled {
		if err := h.watchPresence(); err != nil {
			return nil, err
		}
	}
	return h, h.subscribe()
}

// eventBroadcast is phoenix.EventBroadcast.
const eventBroadcast = "broadcast"

// noDatabase says why there are no database changes.
const noDatabase = "this server has no database: it sends broadcasts and presence, and no postgres_changes"

// answerPostgresChanges accepts listeners for changes of a database, which never come, and tells the client so in the
// event "system", as Supabase's server tells that it cannot reach its database. The rest of the channel works. A client
// that waits for the database is refused.
func answerPostgresChanges(c *socket.Channel, config *realtimeConfig) error {
	accepted := make([]map[string]any, len(config.PostgresChanges))
	for i, listener := range config.PostgresChanges {
		accepted[i] = map[string]any{"id": i + 1}
		for name, value := range listener {
			if name != "id" {
				accepted[i][name] = value
			}
		}
	}
	c.Set("postgres_changes", accepted)
	if len(accepted) == 0 {
		return nil
	}
	if config.PostgresOptions.Wait {
		return socket.Refuse(noDatabase)
	}
	c.Push("system", map[string]string{
		"extension": "postgres_changes", "status": "error", "message": noDatabase, "channel": subTopic(c.Topic()),
	})
	return nil
}

// realtimeHandler handles one join of a client of Supabase's.
type realtimeHandler struct {
	publisher
	config *realtimeConfig

	key      string // of its presence
	tracked  bool
	watching bool // it gets the presences of the others

	replayed uint64 // events up to this offset are repeated ones; used by Rewrite only
}

// subscribe subscribes the client to its topic; with config.broadcast.replay, from the events to repeat.
func (h *realtimeHandler) subscribe() error {
	ask := h.config.Broadcast.Replay
	if ask == nil {
		return h.c.Subscribe(h.c.Topic())
	}
	from, tail, err := replayFrom(h.c.Hub(), h.c.Topic(), ask)
	if err != nil {
		return err
	}
	h.replayed = tail
	return h.c.SubscribeFrom(h.c.Topic(), from)
}

// Handle implements socket.Handler.
func (h *realtimeHandler) Handle(ctx context.Context, m *socket.Message) error {
	switch m.Event {
	case eventBroadcast:
		return h.broadcast(ctx, m)
	case eventPresence:
		return h.presence(ctx, m)
	case "postgres_changes":
		return socket.Refuse(noDatabase)
	}
	return h.publisher.Handle(ctx, m)
}

// broadcast publishes a broadcast, to its sender only with config.broadcast.self. The sender gets a reply with
// config.broadcast.ack, and if it fails.
func (h *realtimeHandler) broadcast(ctx context.Context, m *socket.Message) error {
	if err := h.c.Authorize(ctx, h.c.Topic(), rights.ActionPublish); err != nil {
		return err
	}
	var b phoenix.UserBroadcast
	if err := m.Decode(&b); err != nil {
		return err
	}
	if b.Event == "" {
		return errs.Invalid("event", "must be the name of the broadcast")
	}
	if err := refuseDurable(m); err != nil {
		return err
	}
	in := inputOf(m)
	if !h.config.Broadcast.Self {
		in.Except = h.c.Client()
	}
	out, err := h.c.Publish(h.c.Topic(), in)
	err = reservedError(err)
	if err == nil && bool(h.config.Broadcast.Ack) {
		m.Reply(published{out.ID, out.Position})
	}
	return err
}

// Rewrite implements socket.Rewriter: it gives broadcasts the form in which Supabase's clients expect them. An event
// that another client of the topic has published under a name of its own becomes a broadcast of that name.
func (h *realtimeHandler) Rewrite(ev *log.Event) (out socket.Outgoing, keep bool) {
	replayed := ev.Offset > 0 && ev.Offset <= h.replayed
	if !replayed && ev.Offset > 0 {
		h.replayed = 0 // the log may begin anew later, with small offsets
	}
	own := ev.Name == eventBroadcast && ev.Bytes == nil
	if own && !replayed && !bytes.Contains(ev.Payload(), []byte(`"bytes"`)) {
		return out, true // in the frame that all readers share
	}
	out.Event = eventBroadcast
	switch {
	case own:
		var b phoenix.UserBroadcast
		out.Payload = ev.Payload()
		if json.Unmarshal(out.Payload, &b) == nil && b.Bytes != nil && b.Payload == nil {
			out.Broadcast, out.Bytes = b.Event, *b.Bytes
		}
	case ev.Bytes != nil:
		out.Payload = phoenix.AppendUserBroadcast(nil, ev.Name, nil, ev.Bytes)
		out.Broadcast, out.Bytes = ev.Name, ev.Bytes
	default:
		out.Payload = phoenix.AppendUserBroadcast(nil, ev.Name, ev.Payload(), nil)
	}
	if replayed {
		out.Payload, out.Bytes = asReplayed(out.Payload, jsonw.Member(ev.Data, "id")), nil
	}
	return out, false
}

// asReplayed adds the member "meta" by which clients know an event that is repeated.
func asReplayed(payload, id []byte) json.RawMessage {
	if len(payload) == 0 || payload[0] != '{' || string(payload) == "{}" {
		return payload // published by somebody else; clients cannot read it anyway
	}
	out := append(bytes.Clone(payload[:len(payload)-1]), `,"meta":{"replayed":true,"id":`...)
	return append(jsonw.AppendRaw(out, id), "}}"...)
}

// maxReplay is the highest config.broadcast.replay.limit, and defaultReplay is the limit if none is given.
const (
	maxReplay     = 1000
	defaultReplay = 10
)

// replayFrom returns the position from which the newest events are, as many as asked for, and the offset of the newest.
func replayFrom(h *hub.Hub, topic string, ask *replay) (from log.Position, tail uint64, err error) {
	limit := defaultReplay
	if ask.Limit != nil {
		limit = *ask.Limit
	}
	if limit < 1 || limit > maxReplay {
		return from, 0, errs.Invalid("config.broadcast.replay.limit", "must be 1 to %d; got %d", maxReplay, limit)
	}
	reader, _, err := h.Subscribe(topic, log.Position{}, log.NewWake())
	if err != nil {
		return from, 0, err
	}
	defer reader.Close()
	var offsets []uint64
	for {
		items, _ := reader.Read(nil)
		if len(items) == 0 {
			break
		}
		for i := range items {
			if ev := items[i].Event; ev.Offset > 0 && ev.Time.UnixMilli() >= ask.Since {
				offsets = append(offsets, ev.Offset)
			}
		}
		offsets = offsets[max(0, len(offsets)-limit):]
	}
	from = reader.Position()
	tail = from.Offset
	if len(offsets) > 0 {
		from.Offset = offsets[0] - 1
	}
	return from, tail, nil
}

// readRealtimeJoin reads the parameters of a join. Errors: *errs.FieldError.
func readRealtimeJoin(params json.RawMessage) (p realtimeJoin, err error) {
	err = json.Unmarshal(params, &p)
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typed) && typed.Field == "":
		return realtimeJoin{}, nil // no object: a client of another kind
	case errors.As(err, &typed):
		return p, errs.Invalid(typed.Field, "must not be a JSON %s", typed.Value)
	case err != nil && len(params) > 0:
		return p, errs.Invalid("config", "%v", err)
	}
	return p, nil
}
