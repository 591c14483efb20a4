package socket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestTwoJoinsInOneFlush: a client whose first connect failed sends two joins at once. Both are answered, in order, and
// the second is the one that stays.
func TestTwoJoinsInOneFlush(t *testing.T) {
	g := newGate()
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "slow", Kind: g}}}, hub.Limits{})
	c := s.dial("user=u")
	c.send(
		`["5","5","slow","phx_join",{}]`, `["6","6","slow","phx_join",{}]`, `["5","7","slow","echo",{"stale":1}]`,
		`["6","8","slow","echo",{"current":1}]`,
	)
	g.open <- true
	c.want(ok(`"5"`, `"5"`, "slow"))
	g.open <- true
	c.want(
		ok(`"6"`, `"6"`, "slow"), closed(`"5"`, "slow"),
		`["6","8","slow","phx_reply",{"status":"ok","response":{"current":1}}]`,
	)
	c.send(`["5","9","slow","phx_leave",{}]`, `["5","10","slow","echo",{}]`) // of the replaced join: ignored
	c.settled()
}

// TestSecondOfTwoJoinsRefused: the first is closed nevertheless.
func TestSecondOfTwoJoinsRefused(t *testing.T) {
	g := newGate()
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "slow", Kind: g}}}, hub.Limits{})
	c := s.dial("user=u")
	c.send(
		`["5","5","slow","phx_join",{}]`, `["6","6","slow","phx_join",{}]`, `["6","7","slow","echo",{}]`,
		`["6","8","slow","phx_leave",{}]`, `["9","9","slow","phx_join",{}]`,
	)
	g.open <- true
	g.open <- false
	g.open <- true
	c.want(ok(`"5"`, `"5"`, "slow"), failed(`"6"`, `"6"`, "slow", "denied"), closed(`"5"`, "slow"), unmatched(
		`"7"`, "slow",
	),
		ok(`"6"`, `"8"`, "slow"), ok(`"9"`, `"9"`, "slow"))
	c.settled()
}

// TestFirstOfTwoJoinsRefused: the second starts as if it had just arrived.
func TestFirstOfTwoJoinsRefused(t *testing.T) {
	g := newGate()
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "slow", Kind: g}}}, hub.Limits{})
	c := s.dial("user=u")
	c.send(
		`["5","5","slow","phx_join",{}]`, `["5","6","slow","echo",{}]`, `["7","7","slow","phx_join",{}]`,
		`["7","8","slow","echo",{}]`,
	)
	g.open <- false
	g.open <- true
	c.want(
		failed(`"5"`, `"5"`, "slow", "denied"), unmatched(`"6"`, "slow"), ok(`"7"`, `"7"`, "slow"),
		ok(`"7"`, `"8"`, "slow"),
	)
}

// TestLeaveOfUnansweredJoin: a client leaves whose join was not answered in time.
func TestLeaveOfUnansweredJoin(t *testing.T) {
	g := newGate()
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "slow", Kind: g}}}, hub.Limits{})
	c := s.dial("user=u")
	c.send(`["1","1","slow","phx_join",{}]`, `["1","2","slow","phx_leave",{}]`, `["3","3","slow","phx_join",{}]`)
	<-g.entered
	c.settled()
	g.open <- true
	c.want(ok(`"1"`, `"1"`, "slow"), ok(`"1"`, `"2"`, "slow"), closed(`"1"`, "slow"))
	g.open <- true
	c.want(ok(`"3"`, `"3"`, "slow"))
	c.settled()
}

// TestHeartbeatsWhileJoining: heartbeats and other topics do not wait for a slow join; messages of its own topic wait,
// in order.
func TestHeartbeatsWhileJoining(t *testing.T) {
	g := newGate()
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "slow:*", Kind: g}}}, hub.Limits{})
	c := s.dial("user=u")
	for i := range 10 {
		c.send(fmt.Sprintf(`["1","1","slow:%d","phx_join",{}]`, i))
		<-g.entered
	}
	for i := range 20 {
		c.send(fmt.Sprintf(`["1","%d","slow:3","echo",{"i":%d}]`, i, i))
	}
	c.settled()
	c.send(`["2","2","room:1","phx_join",{}]`)
	c.want(ok(`"2"`, `"2"`, "room:1"))
	for range 10 {
		g.open <- true
	}
	joins, echoes := 0, 0
	for joins < 10 || echoes < 20 {
		switch f := c.next(); {
		case strings.Contains(f, `"response":{}`):
			joins++
		case f == fmt.Sprintf(`["1","%d","slow:3","phx_reply",{"status":"ok","response":{"i":%d}}]`, echoes, echoes):
			echoes++
		default:
			t.Fatalf("after %d echoes came %s", echoes, f)
		}
	}
}

func TestJoinsThatFail(t *testing.T) {
	s := start(t, socket.Options{ChannelsPerSocket: 2}, hub.Limits{})
	c := s.dial("user=u")
	c.send(`["1","1","room:1","phx_join",{"mode":"crash"}]`, `["1","2","room:1","echo",{}]`)
	c.want(failed(`"1"`, `"1"`, "room:1", "join crashed"), unmatched(`"2"`, "room:1"))
	c.send(`["2","2","room:1","phx_join",{"mode":"early"}]`)
	c.want(ok(`"2"`, `"2"`, "room:1"), `["2",null,"room:1","early",{"n":1}]`)
	c.send(`["3","3","room:1","phx_join",{"mode":"crash"}]`) // a second join closes the first channel even if it crashes
	c.want(failed(`"3"`, `"3"`, "room:1", "join crashed"), closed(`"2"`, "room:1"))
	c.send(`["4","4","room:1","phx_join",{}]`)
	c.want(ok(`"4"`, `"4"`, "room:1"))
	c.send(`["5","5","room:1","phx_join",{"mode":"deny"}]`, `["4","6","room:1","echo",{}]`)
	c.want(failed(`"5"`, `"5"`, "room:1", "denied"), closed(`"4"`, "room:1"), unmatched(`"6"`, "room:1"))
	for i := 1; i <= 2; i++ {
		c.send(fmt.Sprintf(`["6","6","room:%d","phx_join",{}]`, i))
		c.want(ok(`"6"`, `"6"`, fmt.Sprint("room:", i)))
	}
	c.send(`["7","7","room:3","phx_join",{}]`, `["8","8","nope","phx_join",{}]`, `["9","9","room:2","phx_join",{}]`)
	c.want(
		failed(`"7"`, `"7"`, "room:3", "too many channels joined"), unmatched(`"8"`, "nope"), ok(`"9"`, `"9"`, "room:2"),
		closed(`"6"`, "room:2"),
	)
	c.send(`["9","10","room:2","phx_leave",{}]`, `["11","11","room:3","phx_join",{}]`)
	// two channels: in any order, and the limit may still be met
	frames := map[string]bool{c.next(): true, c.next(): true, c.next(): true}
	if !frames[ok(`"9"`, `"10"`, "room:2")] || !frames[closed(`"9"`, "room:2")] {
		t.Error(frames)
	}
}

func TestRefs(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dial("user=u")
	c.send(
		`[1,2.50,"room:1","phx_join",{}]`, `[1,{"a":[1]},"room:1","echo",{}]`, `["1","9","room:1","echo",{}]`,
		`[null,null,"room:1","echo",7]`,
	)
	c.want(
		ok(`1`, `2.50`, "room:1"), ok(`1`, `{"a":[1]}`, "room:1"),
		`[1,null,"room:1","phx_reply",{"status":"ok","response":7}]`,
	)
	c.send(
		`[null,12,"phoenix","heartbeat",{}]`, `["x","12","phoenix","heartbeat","any"]`,
		`[null,"1","phoenix","phx_join",{}]`,
	)
	c.want(
		`[null,12,"phoenix","phx_reply",{"status":"ok","response":{}}]`,
		`[null,"12","phoenix","phx_reply",{"status":"ok","response":{}}]`, unmatched(`"1"`, "phoenix"),
	)
	c.send(`["7","8","room:none","phx_leave",{}]`, `["7","9","room:none","phx_close",{}]`)
	c.want(ok(`"7"`, `"8"`, "room:none"), unmatched(`"9"`, "room:none"))

	c.send(`[null,"20","room:2","phx_join",{}]`) // a join without join_ref
	c.want(ok(`null`, `"20"`, "room:2"))
	c.send(`[null,"21","room:2","push",{"p":1}]`, `["20","22","room:2","echo",{}]`)
	c.want(`["20",null,"room:2","pushed",{"p":1}]`, `["20","21","room:2","phx_reply",{"status":"ok","response":{"p":1}}]`)
	c.settled()
	c.send(`[null,"23","room:2","boom",{}]`)
	c.want(`[null,null,"room:2","phx_error",{"reason":"channel_crash"}]`)
	c.send(`[null,"24","room:1","phx_leave",{}]`)
	c.want(ok(`1`, `"24"`, "room:1"), closed(`1`, "room:1"))

	c.sendBytes([]byte("\x00\x00\x01\x06\x047room:1echo\x01")) // not joined
	c.want(unmatched(`"7"`, "room:1"))
	c.sendBytes([]byte("\x00\x021\x06\x08"[:2] + "\x02\x06\x08" + "3132room:1phx_join"))
	c.want(ok(`"31"`, `"32"`, "room:1"))
	c.sendBytes([]byte("\x00\x00\x01\x06\x047room:1echo\x01")) // an empty join_ref is stale
	c.settled()
	c.send(`[null,"1",null,"e",{}]`, `[null,"1",{"a":1},"phx_join",{}]`)
	c.want(`[null,"1",null,"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		`[null,"1",{"a":1},"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
}

func TestVersion1(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dialPath("/websocket?user=u")
	reply := func(ref, topic, payload string) string {
		return fmt.Sprintf(`{"topic":%q,"event":"phx_reply","payload":%s,"ref":%s}`, topic, payload, ref)
	}
	const fine = `{"status":"ok","response":{}}`
	c.send(
		`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}`,
		`{"topic":"room:1","event":"phx_join","payload":{},"ref":"2"}`,
	)
	c.want(reply(`"1"`, "phoenix", fine), reply(`"2"`, "room:1", fine))
	// the echo is ignored, because the channel was joined without a join_ref
	c.send(
		`{"topic":"room:1","event":"push","payload":{"a":1},"ref":"3"}`,
		`{"topic":"room:1","event":"echo","payload":{},"ref":"4","join_ref":"2"}`,
	)
	c.want(
		`{"topic":"room:1","event":"pushed","payload":{"a":1},"ref":null}`,
		reply(`"3"`, "room:1", `{"status":"ok","response":{"a":1}}`),
	)
	c.send(
		`{"topic":"room:1","event":"bytes","payload":{},"ref":"5"}`,
		`{"topic":"room:1","event":"publish","payload":[1],"ref":"6"}`,
	)
	c.want(reply(`"5"`, "room:1", `{"status":"ok","response":{"bytes":"AQI="}}`))
	got := c.next() + c.next()
	if !strings.Contains(got, reply(`"6"`, "room:1", `{"status":"ok","response":[1]}`)) ||
		!strings.Contains(got, `{"topic":"room:1","event":"news","payload":[1],"ref":null}`) {
		t.Error(got)
	}
	c.send(
		`{"topic":"room:1","event":"phx_join","payload":{},"ref":"7","join_ref":"7"}`,
		`{"topic":"room:1","event":"echo","payload":{},"ref":"8","join_ref":"7"}`,
	)
	c.want(
		reply(`"7"`, "room:1", fine), `{"topic":"room:1","event":"phx_close","payload":{},"ref":null}`,
		reply(`"8"`, "room:1", fine),
	)
	c.send(
		`{"topic":"room:1","event":"phx_leave","payload":{},"ref":"9"}`,
		`{"topic":"x","event":"phx_leave","payload":{},"ref":"9"}`, `{"topic":5,"event":"e","payload":{},"ref":9}`,
	)
	frames := c.next() + c.next() + c.next() + c.next()
	for _, want := range []string{
		reply(`"9"`, "room:1", fine), `{"topic":"room:1","event":"phx_close","payload":{},"ref":"7"}`,
		reply(`"9"`, "x", fine), `{"topic":5,"event":"phx_reply"`,
	} {
		if !strings.Contains(frames, want) {
			t.Errorf("%s is missing in %s", want, frames)
		}
	}
	c.sendBytes([]byte("\x00\x00\x01\x01\x0110te"))
	got = c.next()
	if !strings.HasPrefix(got, `{"topic":"0","event":"phx_reply","payload":{"status":"error"`) ||
		!strings.HasSuffix(got, `,"ref":"1"}`) {
		t.Errorf("bytes are answered %s", got)
	}
}

// TestWaysOfAChannelToEnd: a crash ends a channel with phx_error, a handler that stops ends it with phx_close. Both
// times the topic can be joined again, and the socket stays open.
func TestWaysOfAChannelToEnd(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dial("user=u")
	join := func(ref string) {
		c.send(fmt.Sprintf(`[%q,%q,"room:1","phx_join",{}]`, ref, ref))
		c.want(ok(`"`+ref+`"`, `"`+ref+`"`, "room:1"))
	}
	join("1")
	c.send(`["1","2","room:1","boom",{}]`, `["1","3","room:1","echo",{}]`)
	c.want(`["1","1","room:1","phx_error",{"reason":"channel_crash"}]`)
	for f := c.next(); f != unmatched(`"3"`, "room:1"); f = c.next() { // or it was queued, and is lost
		c.send(`["1","3","room:1","echo",{}]`)
	}
	join("4")
	c.send(`["4","5","room:1","stop",{}]`)
	c.want(closed(`"4"`, "room:1"))
	join("6")
	s.publish("room:1", "e", `"text"`)
	c.want(`[null,null,"room:1","e","text"]`)
}

// TestLeaveAndJoinFollowEachOther: a client leaves and joins a topic many times, while others publish.
func TestLeaveAndJoinFollowEachOther(t *testing.T) {
	s := start(t, socket.Options{}, hub.Limits{})
	c := s.dial("user=u")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.publish("room:1", "e", `{}`)
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	const rounds = 300
	go func() {
		for i := range rounds {
			_ = c.conn.Write(c.ctx, websocket.MessageText, fmt.Appendf(nil, `["%d","%d","room:1","phx_join",{}]`, i, i))
			_ = c.conn.Write(c.ctx, websocket.MessageText, fmt.Appendf(nil, `["%d","l%d","room:1","phx_leave",{}]`, i, i))
		}
	}()
	joined, current := 0, -1
	for joined < rounds {
		var f []json.RawMessage
		frame := c.next()
		if err := json.Unmarshal([]byte(frame), &f); err != nil {
			t.Fatal(err)
		}
		switch event := string(f[3]); {
		case event == `"e"`:
			if joined == 0 {
				t.Fatalf("an event before any join was answered")
			}
		case event == `"phx_reply"` && string(f[0]) == string(f[1]):
			if string(f[0]) != fmt.Sprintf(`"%d"`, joined) {
				t.Fatalf("%s, want the join %d", frame, joined)
			}
			current, joined = joined, joined+1
		case event == `"phx_close"`: // of the current one, or of the one before
			if id := string(f[0]); id != fmt.Sprintf(`"%d"`, current) && id != fmt.Sprintf(`"%d"`, current-1) {
				t.Fatalf("%s while %d is current", frame, current)
			}
		}
	}
}

// TestLeftIsCalledOnce: Left is called once for each handler, after its last message, however its channel ends.
func TestLeftIsCalledOnce(t *testing.T) {
	var mu sync.Mutex
	left, live := map[string]int{}, 0
	noted := kind(func(_ context.Context, c *socket.Channel, params json.RawMessage) (socket.Handler, error) {
		mu.Lock()
		defer mu.Unlock()
		live++
		return &leaver{echo(c), func() {
			mu.Lock()
			defer mu.Unlock()
			left[c.Topic()+string(params)]++
			live--
		}}, c.Subscribe(c.Topic())
	})
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "l:*", Kind: noted}}}, hub.Limits{})
	c := s.dial("user=u")
	c.send(`["1","1","l:leave","phx_join",1]`, `["1","2","l:leave","phx_leave",{}]`,
		`["1","1","l:boom","phx_join",1]`, `["1","2","l:boom","boom",{}]`,
		`["1","1","l:twice","phx_join",1]`, `["2","2","l:twice","phx_join",2]`,
		`["1","1","l:gone","phx_join",1]`, `["1","2","l:gone","echo",{}]`)
	for range 10 {
		c.next()
	}
	c.conn.CloseNow()
	hubtest.Until(t, "all handlers to be gone", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return live == 0
	})
	for _, name := range []string{"l:leave1", "l:boom1", "l:twice1", "l:twice2", "l:gone1"} {
		if left[name] != 1 {
			t.Errorf("%s: Left was called %d times", name, left[name])
		}
	}
}

type leaver struct {
	socket.Handler
	left func()
}

func (l *leaver) Left() { l.left() }

// TestEndOfStreamWaitsForTheAnswer: a message that ends its channel's stream is answered before the channel closes,
// even if the client has already received the stream's end.
func TestEndOfStreamWaitsForTheAnswer(t *testing.T) {
	var stream *hub.Stream
	read := make(chan struct{})
	whole := kind(func(_ context.Context, c *socket.Channel, _ json.RawMessage) (socket.Handler, error) {
		return handler(func(ctx context.Context, m *socket.Message) error {
			stream.Cancel("u")
			select {
			case <-read:
			case <-ctx.Done():
			}
			m.Reply(nil)
			return nil
		}), c.FollowWhole(stream)
	})
	s := start(t, socket.Options{Routes: []socket.Route{{Pattern: "whole:*", Kind: whole}}}, hub.Limits{})
	var err error
	if stream, _, err = s.hub.CreateStream(hub.StreamSpec{Owner: "u", Kind: "test"}); err != nil {
		t.Fatal(err)
	}
	c := s.dial("user=u")
	c.send(`["1","1","whole:1","phx_join",{}]`)
	c.want(ok(`"1"`, `"1"`, "whole:1"))
	c.send(`["1","2","whole:1","cancel",{}]`, `["1","3","whole:1","cancel",{}]`)
	for !strings.Contains(c.next(), `"whole:1","end",`) {
	}
	close(read)
	c.want(ok(`"1"`, `"2"`, "whole:1"), closed(`"1"`, "whole:1"), unmatched(`"3"`, "whole:1"))
}
