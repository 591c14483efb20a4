package handlers_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

var (
	socketSeed = flag.Uint64("sockets.seed", 0, "seed of TestSocketModel; 0: from the clock")
	socketTime = flag.Duration("sockets.for", 0, "how long TestSocketModel publishes at least")
)

// TestSocketModel: clients join, leave, push, lag, are cut at random bytes and change between the three transports,
// while the topics' histories are so small that much is trimmed. Each client sees exactly the events after its
// position: in order, without gap or repeat, with equal payloads; or it gets a reset. Of ephemeral events it finally
// sees the newest, and no older one after it.
func TestSocketModel(t *testing.T) {
	t.Parallel()
	if *socketTime == 0 {
		if *socketTime = 6 * time.Second; testing.Short() {
			*socketTime = 2 * time.Second
		}
	}
	seed := *socketSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-sockets.seed=%d repeats it; -sockets.for=10m does more)", seed, seed)
	const clients, topics, publishers = 10, 3, 3
	s := startServer(t, nil, hub.Limits{HistoryEvents: 60}, nil)
	s.Client().Transport = s.Client().Transport.(checked).next // responses are cut here, not read and checked
	m := &model{t: t, s: s, stop: make(chan struct{}), deadline: time.Now().Add(*socketTime + 2*hubtest.Hung)}
	for i := range topics {
		m.topics = append(
			m.topics,
			&modelTopic{
				name: fmt.Sprintf("model:%d", i), keys: map[uint64]string{}, offsets: map[string]uint64{},
				newest: map[string]int{},
			},
		)
	}
	var producers, readers sync.WaitGroup
	for i := range publishers {
		producers.Go(func() { m.publish(i, rand.New(rand.NewPCG(seed, uint64(1000+i)))) })
	}
	for i := range clients {
		readers.Go(func() {
			c := &modelClient{
				m: m, rnd: rand.New(rand.NewPCG(seed, uint64(i))), id: i, token: token(t, fmt.Sprintf("client-%d", i), "*=*"),
				views: map[string]*modelView{},
			}
			c.live()
		})
	}
	time.Sleep(*socketTime) // a longer time covers more; enough checks the minimum
	hubtest.Until(t, "enough to prove anything", func() bool { return m.enough() || t.Failed() })
	m.stopping.Store(true)
	close(m.stop)
	producers.Wait()
	m.stopped.Store(true)
	readers.Wait()
	t.Logf("%d events published, %d delivered; %d connections, %d resumed, %d joins, %d of them recovered, "+
		"%d told of a loss; %d resets under way",
		m.n.published.Load(), m.n.delivered.Load(), m.n.connections.Load(), m.n.resumed.Load(), m.n.joins.Load(),
		m.n.recovered.Load(), m.n.lost.Load(), m.n.resets.Load())
}

// model has the published events.
type model struct {
	t        *testing.T
	s        *testServer
	stop     chan struct{}
	stopping atomic.Bool // publishing has ended
	stopped  atomic.Bool // and all published events are known
	deadline time.Time   // a client that still runs then hangs
	topics   []*modelTopic
	sent     sync.Map // key → payload, as it must arrive

	n struct{ published, delivered, connections, resumed, joins, recovered, lost, resets atomic.Int64 }
}

// enough reports whether enough has happened for a result.
func (m *model) enough() bool {
	return m.n.delivered.Load() >= 1000 && m.n.recovered.Load() >= 20 && m.n.lost.Load() > 0
}

type modelTopic struct {
	name string

	mu      sync.Mutex
	last    uint64            // the newest offset
	keys    map[uint64]string // offset → key
	offsets map[string]uint64 // key → offset
	newest  map[string]int    // of each ephemeral sender and name
}

// note records the offset of the event with a key. All clients must see it at the same offset.
func (tp *modelTopic) note(m *model, offset uint64, key string) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if k, ok := tp.keys[offset]; ok && k != key {
		m.t.Errorf("%s: %s and %s both stand at %d", tp.name, k, key, offset)
	}
	if o, ok := tp.offsets[key]; ok && o != offset {
		m.t.Errorf("%s: %s stands at %d and at %d", tp.name, key, o, offset)
	}
	tp.keys[offset], tp.offsets[key], tp.last = key, offset, max(tp.last, offset)
}

func offsetOf(t *testing.T, position string) uint64 {
	_, text, ok := strings.Cut(position, ".")
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		t.Errorf("not a position: %q", position)
	}
	return n
}

// payload creates an event's payload, and records it.
func (m *model) payload(rnd *rand.Rand, key string) string {
	pad := ""
	if rnd.IntN(20) == 0 {
		pad = strings.Repeat("🦆\u2028", rnd.IntN(2000))
	}
	b, _ := json.Marshal(map[string]any{"k": key, "pad": pad, "big": json.Number("9007199254740993")})
	m.sent.Store(key, string(b))
	return string(b)
}

// publish publishes over REST.
func (m *model) publish(id int, rnd *rand.Rand) {
	auth := "Authorization: Bearer " + token(m.t, fmt.Sprintf("publisher-%d", id), "*=*")
	for n := 1; ; n++ {
		select {
		case <-m.stop:
			return
		case <-time.After(time.Duration(rnd.IntN(12)) * time.Millisecond):
		}
		tp := m.topics[rnd.IntN(len(m.topics))]
		path := "/v1/topics/" + url.PathEscape(tp.name) + "/events"
		if rnd.IntN(4) == 0 {
			name := fmt.Sprintf("cursor-%d", rnd.IntN(2))
			body := fmt.Sprintf(`{"event":%q,"payload":{"who":"%s of %d","n":%d},"ephemeral":true}`, name, name, id, n)
			call[publishedJSON](m.s, http.StatusOK, "POST", path, body, auth)
			tp.mu.Lock()
			tp.newest[fmt.Sprintf("%s of %d", name, id)] = n
			tp.mu.Unlock()
			continue
		}
		key := fmt.Sprintf("p%d-%d", id, n)
		out := call[publishedJSON](
			m.s, http.StatusOK, "POST", path, fmt.Sprintf(`{"event":"e","payload":%s}`, m.payload(rnd, key)), auth,
		)
		tp.note(m, offsetOf(m.t, *out.Events[0].Position), key)
		m.n.published.Add(1)
	}
}

// modelClient remembers only what a real one would remember: the last position of each topic.
type modelClient struct {
	m     *model
	rnd   *rand.Rand
	id    int
	token string
	ref   int
	pipe  modelPipe
	views map[string]*modelView
	pends map[string]func(status string, response json.RawMessage) // by ref
}

// modelView is a client's view of a topic.
type modelView struct {
	tp        *modelTopic
	position  string         // "" where it has none
	joinRef   string         // of the join that was answered last; "" for none
	positions bool           // that join asked for positions
	before    uint64         // without positions: the offset of the last event, 0 at first
	seen      map[string]int // of ephemeral events
}

// modelPipe is one of the transports. After errCut, the client may call resume.
type modelPipe interface {
	send(frames ...[]byte) error // binary ones begin with 0
	receive(wait time.Duration) (frame []byte, err error)
	resume() error
	close()
}

var (
	errCut  = errors.New("cut")
	errOver = errors.New("over")
)

// live runs a client over one connection after another, until it has received everything.
func (c *modelClient) live() {
	for !c.m.t.Failed() {
		if time.Now().After(c.m.deadline) {
			for _, v := range c.views {
				c.m.t.Errorf(
					"client %d never got all of %s: it is at %s of %d, ephemerals %v of %v", c.id, v.tp.name, v.position, v.tp.last,
					v.seen, v.tp.newest,
				)
			}
			return
		}
		if c.connect() && c.m.stopped.Load() {
			return
		}
		if !c.m.stopping.Load() && c.rnd.IntN(3) == 0 {
			time.Sleep(time.Duration(c.rnd.IntN(600)) * time.Millisecond) // it falls behind
		}
	}
}

// connect opens a connection and uses it until it breaks. done reports that the client has received everything.
func (c *modelClient) connect() (done bool) {
	limit := int64(2000 + c.rnd.ExpFloat64()*20000)
	if c.m.stopped.Load() { // connections are no longer cut
		limit = 1 << 40
	}
	var err error
	switch c.rnd.IntN(3) {
	case 0:
		c.pipe, err = openModelWS(c, limit)
	case 1:
		c.pipe, err = openModelPoll(c, limit)
	default:
		c.pipe, err = openModelSSE(c, limit)
	}
	if err != nil {
		return false // cut in the handshake
	}
	defer c.pipe.close()
	c.m.n.connections.Add(1)
	c.pends = map[string]func(string, json.RawMessage){}
	for _, v := range c.views {
		v.joinRef = ""
	}
	final := c.m.stopped.Load()
	for step := 0; !c.m.t.Failed() && time.Now().Before(c.m.deadline); step++ {
		if final && c.hasAll() {
			return true
		}
		if final != c.m.stopped.Load() { // it joins again, to receive the rest
			return false
		}
		if !final && c.rnd.IntN(150) == 0 {
			return false // it disconnects without leaving
		}
		err := c.act(step == 0, final)
		for err == nil {
			var frame []byte
			if frame, err = c.pipe.receive(20 * time.Millisecond); err == nil && frame == nil {
				break
			} else if err == nil {
				c.take(frame)
				if c.rnd.IntN(8) == 0 {
					break
				}
			}
		}
		if errors.Is(err, errCut) && c.rnd.IntN(4) > 0 {
			if err = c.pipe.resume(); err == nil {
				c.m.n.resumed.Add(1)
			}
		}
		if err != nil {
			return false
		}
	}
	return false
}

// act sends some frames, or none.
func (c *modelClient) act(first, final bool) error {
	var frames [][]byte
	for _, tp := range c.m.topics {
		v := c.views[tp.name]
		if v == nil {
			v = &modelView{tp: tp, seen: map[string]int{}}
			c.views[tp.name] = v
		}
		switch {
		case first && (final || c.rnd.IntN(4) > 0), !first && !final && c.rnd.IntN(40) == 0:
			frames = append(frames, c.join(v, final))
		case final || v.joinRef == "":
		case c.rnd.IntN(60) == 0:
			frames = append(frames, fmt.Appendf(nil, `[%q,%q,%q,"phx_leave",{}]`, v.joinRef, c.nextRef(), tp.name))
			if c.rnd.IntN(2) == 0 {
				frames = append(frames, c.join(v, final)) // like an application that opens a topic twice
			}
		case c.m.stopping.Load():
		case c.rnd.IntN(10) == 0:
			frames = append(frames, c.push(v))
		}
	}
	if len(frames) == 0 {
		return nil
	}
	return c.pipe.send(frames...)
}

func (c *modelClient) nextRef() string {
	c.ref++
	return strconv.Itoa(c.ref)
}

// join creates a join, mostly from the last position on, sometimes from another one.
func (c *modelClient) join(v *modelView, final bool) []byte {
	ref := c.nextRef()
	params, asked := `{}`, v.position
	switch {
	case asked != "" && (final || c.rnd.IntN(8) > 0):
		params = fmt.Sprintf(`{"after":%q}`, asked)
	case final || c.rnd.IntN(2) == 0:
		params, asked = `{"after":"0"}`, "" // everything that is kept
	default:
		asked = ""
	}
	c.m.n.joins.Add(1)
	c.pends[ref] = func(status string, response json.RawMessage) {
		var r struct {
			Recovered       bool
			Position, Reset string
		}
		if err := json.Unmarshal(response, &r); err != nil || status != "ok" {
			c.m.t.Errorf("client %d: the join of %s: %s %s", c.id, v.tp.name, status, response)
		}
		v.joinRef, v.positions, v.before = ref, params != `{}`, 0
		switch {
		case !v.positions:
			v.position = ""
			return
		case asked == "":
		case r.Recovered && r.Position != asked:
			c.m.t.Errorf("client %d asked for %s of %s and recovered %s", c.id, asked, v.tp.name, r.Position)
		case r.Recovered:
			c.m.n.recovered.Add(1)
		case r.Reset != "trimmed" || offsetOf(c.m.t, r.Position) <= offsetOf(c.m.t, asked):
			c.m.t.Errorf("client %d asked for %s of %s: %s", c.id, asked, v.tp.name, response)
		default:
			c.m.n.lost.Add(1)
		}
		v.position = r.Position
	}
	return fmt.Appendf(nil, `[%q,%q,%q,"phx_join",%s]`, ref, ref, v.tp.name, params)
}

// push creates a push, as JSON or as bytes.
func (c *modelClient) push(v *modelView) []byte {
	ref := c.nextRef()
	key := fmt.Sprintf("c%d-%s", c.id, ref)
	c.m.n.published.Add(1)
	c.pends[ref] = func(status string, response json.RawMessage) {
		var r struct{ Position string }
		if err := json.Unmarshal(response, &r); err != nil || status != "ok" {
			c.m.t.Errorf("client %d: a push to %s: %s %s", c.id, v.tp.name, status, response)
			return
		}
		v.tp.note(c.m, offsetOf(c.m.t, r.Position), key)
	}
	if c.rnd.IntN(3) > 0 {
		return fmt.Appendf(nil, `[%q,%q,%q,"e",%s]`, v.joinRef, ref, v.tp.name, c.m.payload(c.rnd, key))
	}
	payload := key + "|" + strings.Repeat("\x00\xff", c.rnd.IntN(50))
	c.m.sent.Store(key, payload)
	frame := []byte{0, byte(len(v.joinRef)), byte(len(ref)), byte(len(v.tp.name)), 1}
	return append(frame, v.joinRef+ref+v.tp.name+"e"+payload...)
}

// hasAll reports whether the client has the last event of every topic, and the newest ephemeral ones.
func (c *modelClient) hasAll() bool {
	for _, tp := range c.m.topics {
		v := c.views[tp.name]
		if v == nil || v.joinRef == "" || v.position == "" {
			return false
		}
		tp.mu.Lock()
		all := offsetOf(c.m.t, v.position) >= tp.last
		for who, n := range tp.newest {
			all = all && v.seen[who] == n
		}
		tp.mu.Unlock()
		if !all {
			return false
		}
	}
	return true
}

// take processes one frame.
func (c *modelClient) take(frame []byte) {
	if len(frame) > 0 && frame[0] == 2 { // a binary broadcast
		t, e := int(frame[1]), int(frame[2])
		c.event(c.views[string(frame[3:3+t])], "", string(frame[3+t+e:]))
		return
	}
	var f []json.RawMessage
	if err := json.Unmarshal(frame, &f); err != nil || len(f) != 5 {
		c.m.t.Errorf("client %d got %q", c.id, frame)
		return
	}
	text := func(raw json.RawMessage) (s string) { _ = json.Unmarshal(raw, &s); return s }
	v, event, ref := c.views[text(f[2])], text(f[3]), text(f[1])
	switch event {
	case "phx_reply":
		var r struct {
			Status   string
			Response json.RawMessage
		}
		_ = json.Unmarshal(f[4], &r)
		pend := c.pends[ref]
		delete(c.pends, ref)
		switch {
		case strings.Contains(string(r.Response), "unmatched topic"): // pushed after a leave
		case pend != nil:
			pend(r.Status, r.Response)
		}
	case "phx_close":
		if v.joinRef == text(f[0]) {
			v.joinRef = ""
		}
	case "phx_error":
		c.m.t.Errorf("client %d: %s", c.id, frame)
	case "reset":
		var r struct{ Reason, Requested, From string }
		if json.Unmarshal(f[4], &r) != nil || r.Reason != "trimmed" || v.positions && r.Requested != v.position ||
			text(f[0]) != v.joinRef {
			c.m.t.Errorf("client %d, which is at %s: %s", c.id, v.position, frame)
		}
		c.m.n.resets.Add(1)
		v.before = 0
		if v.positions {
			v.position = r.From
		}
	case "e":
		payload := string(f[4])
		var b struct{ Bytes *string }
		if json.Unmarshal(f[4], &b) == nil && b.Bytes != nil {
			raw, _ := base64.StdEncoding.DecodeString(*b.Bytes)
			payload = string(raw)
		}
		c.event(v, ref, payload)
	default:
		var p struct {
			Who string
			N   int
		}
		if json.Unmarshal(f[4], &p) != nil || !strings.HasPrefix(event, "cursor-") || ref != "" {
			c.m.t.Errorf("client %d: %s", c.id, frame)
		}
		if p.N < v.seen[p.Who] {
			c.m.t.Errorf("client %d: %s: the ephemeral event %d of %s after %d", c.id, v.tp.name, p.N, p.Who, v.seen[p.Who])
		}
		v.seen[p.Who] = p.N
	}
}

// event processes one published event.
func (c *modelClient) event(v *modelView, position, payload string) {
	c.m.n.delivered.Add(1)
	var p struct{ K string }
	if json.Unmarshal([]byte(payload), &p) != nil {
		p.K, _, _ = strings.Cut(payload, "|")
	}
	if want, ok := c.m.sent.Load(p.K); !ok || want != payload {
		c.m.t.Errorf("client %d: %s: got %.200q, published was %.200q", c.id, v.tp.name, payload, want)
	}
	if v.joinRef == "" {
		c.m.t.Errorf("client %d: an event of %s, which it has not joined", c.id, v.tp.name)
	}
	if (position != "") != v.positions {
		c.m.t.Errorf("client %d: %s: position %q, asked for: %v", c.id, v.tp.name, position, v.positions)
		return
	}
	if position == "" {
		v.tp.mu.Lock()
		at := v.tp.offsets[p.K] // 0 if it is not known yet
		v.tp.mu.Unlock()
		if v.before != 0 && at != 0 && at != v.before+1 {
			c.m.t.Errorf("client %d: %s: %s stands at %d, and came behind %d", c.id, v.tp.name, p.K, at, v.before)
		}
		v.before = at
		return
	}
	at := offsetOf(c.m.t, position)
	if want := offsetOf(c.m.t, v.position) + 1; at != want {
		c.m.t.Errorf("client %d: %s: an event at %d, want %d", c.id, v.tp.name, at, want)
	}
	v.tp.note(c.m, at, p.K)
	v.position = position
}

// cutConn is a connection that breaks after some bytes have been read.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

func (c *cutConn) Read(b []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		_ = c.Conn.(*net.TCPConn).SetLinger(0) // a reset
		c.Conn.Close()
		return 0, errCut
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), left)])
	c.left.Add(int64(-n))
	return n, err
}

// cuttingClient returns an HTTP client whose connections break.
func cuttingClient(limit int64) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		// Little is received beyond the cut. In a smaller buffer, Linux drops segments of the loopback interface, and the
		// sender repeats them after 200 ms, 400 ms, ….
		_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		c := &cutConn{Conn: conn}
		c.left.Store(limit)
		return c, nil
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
}

// incoming passes on what a reading goroutine receives.
type incoming struct {
	frames chan []byte
	broken chan struct{} // closed after the last frame
	over   bool          // and reconnecting is of no use
}

func newIncoming() *incoming {
	return &incoming{frames: make(chan []byte), broken: make(chan struct{})}
}

func (in *incoming) receive(wait time.Duration) ([]byte, error) {
	select {
	case f := <-in.frames:
		return f, nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case f := <-in.frames:
		return f, nil
	case <-in.broken:
		if in.over {
			return nil, errOver
		}
		return nil, errCut
	case <-timer.C:
		return nil, nil
	}
}

// modelWS is a WebSocket.
type modelWS struct {
	*incoming
	conn *websocket.Conn
	ctx  context.Context
	end  context.CancelFunc
}

func openModelWS(c *modelClient, limit int64) (modelPipe, error) {
	ctx, cancel := context.WithCancel(context.Background())
	conn, _, err := websocket.Dial(
		ctx, c.m.s.URL+"/socket/websocket?vsn=2.0.0&token="+c.token,
		&websocket.DialOptions{HTTPClient: cuttingClient(limit)},
	)
	if err != nil {
		cancel()
		return nil, err
	}
	conn.SetReadLimit(16 << 20)
	p := &modelWS{newIncoming(), conn, ctx, cancel}
	p.over = true
	go func() {
		defer close(p.broken)
		for {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			select {
			case p.frames <- data:
			case <-ctx.Done():
				return
			}
		}
	}()
	return p, nil
}

func (p *modelWS) send(frames ...[]byte) error {
	for _, f := range frames {
		kind := websocket.MessageText
		if f[0] == 0 {
			kind = websocket.MessageBinary
		}
		if err := p.conn.Write(p.ctx, kind, f); err != nil {
			return errOver
		}
	}
	return nil
}

func (p *modelWS) resume() error { return errOver }

func (p *modelWS) close() {
	p.end()
	_ = p.conn.CloseNow()
	<-p.broken
}

// ndjsonFrames creates the body of a POST.
func ndjsonFrames(frames [][]byte) string {
	var lines []string
	for _, f := range frames {
		if f[0] == 0 {
			lines = append(lines, base64.StdEncoding.EncodeToString(f))
		} else {
			lines = append(lines, string(f))
		}
	}
	return strings.Join(lines, "\n")
}

// postFrames posts frames. The POST is never cut, because a client cannot know how much of a cut POST was received.
func postFrames(s *testServer, target string, frames [][]byte) error {
	resp, err := s.Client().Post(target, "application/x-ndjson", strings.NewReader(ndjsonFrames(frames)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if raw, _ := io.ReadAll(resp.Body); string(raw) != `{"status":200}` {
		return errOver
	}
	return nil
}

// modelPoll is a long-poll.
type modelPoll struct {
	c     *modelClient
	base  string
	token string
	limit int64
	queue []string
	late  int // number of consecutive answers that were late
}

func openModelPoll(c *modelClient, limit int64) (modelPipe, error) {
	p := &modelPoll{c: c, base: c.m.s.URL + "/socket/longpoll?vsn=2.0.0&token=" + c.token, limit: limit}
	status, err := p.get(hubtest.Hung, 1<<40)
	if err == nil && status != 410 {
		err = fmt.Errorf("status %d", status)
	}
	return p, err
}

func (p *modelPoll) url() string {
	if p.token == "" {
		return p.base
	}
	return p.base + "&token=" + url.QueryEscape(p.token)
}

func (p *modelPoll) get(wait time.Duration, limit int64) (status int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	patience := time.AfterFunc(wait, cancel) // until the answer begins
	r, _ := http.NewRequestWithContext(ctx, "GET", p.url(), nil)
	resp, err := cuttingClient(limit).Do(r)
	patience.Stop()
	if err != nil {
		return 0, errCut
	}
	defer resp.Body.Close()
	var a struct {
		Status   int
		Token    string
		Messages []string
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(raw, &a) != nil {
		return 0, errCut
	}
	if a.Status == 500 {
		return a.Status, errOver
	}
	p.token, p.queue = a.Token, append(p.queue, a.Messages...)
	return a.Status, nil
}

func (p *modelPoll) send(frames ...[]byte) error { return postFrames(p.c.m.s, p.url(), frames) }

func (p *modelPoll) receive(wait time.Duration) ([]byte, error) {
	if len(p.queue) == 0 {
		limit := int64(1 << 40)
		if p.limit < 1<<40 && p.c.rnd.IntN(4) == 0 {
			limit = int64(p.c.rnd.ExpFloat64() * 2000)
		}
		_, err := p.get(wait<<p.late, limit) // twice as long each time: on a busy machine, too, an answer comes some time
		if err != nil && !errors.Is(err, errCut) {
			return nil, err
		}
		if p.late = min(p.late+1, 8); err == nil { // after a cut it polls again with the same token
			p.late = 0
		}
		if p.limit < 1<<40 && p.c.rnd.IntN(100) == 0 {
			return nil, errOver
		}
	}
	if len(p.queue) == 0 {
		return nil, nil
	}
	f := p.queue[0]
	p.queue = p.queue[1:]
	return []byte(f), nil
}

func (p *modelPoll) resume() error { return nil }
func (p *modelPoll) close()        {}

// modelSSE is a socket over SSE and POST.
type modelSSE struct {
	*incoming
	c       *modelClient
	base    string
	session string
	last    uint64 // the number of the last whole frame that was taken
	limit   int64
	end     context.CancelFunc
}

func openModelSSE(c *modelClient, limit int64) (modelPipe, error) {
	p := &modelSSE{c: c, base: c.m.s.URL + "/socket/sse?vsn=2.0.0&token=" + c.token, limit: limit}
	return p, p.open("")
}

func (p *modelSSE) open(query string) error {
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "GET", p.base+query, nil)
	resp, err := cuttingClient(p.limit).Do(r)
	if err != nil {
		cancel()
		return errCut
	}
	in := newIncoming()
	p.incoming, p.end = in, cancel
	hello := make(chan string, 1)
	go p.read(ctx, resp.Body, in, hello)
	select {
	case session := <-hello:
		p.session = session
		return nil
	case <-in.broken:
		cancel()
		return errCut
	}
}

func (p *modelSSE) read(ctx context.Context, body io.ReadCloser, in *incoming, hello chan string) {
	defer close(in.broken)
	defer body.Close()
	lines := bufio.NewReader(body)
	var event, data, id string
	last := p.last
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\n")
		if line != "" {
			switch name, value, _ := strings.Cut(line, ": "); name {
			case "event":
				event = value
			case "data":
				data = value
			case "id":
				id = value
			}
			continue
		}
		switch event {
		case "hello":
			var h struct{ Session string }
			_ = json.Unmarshal([]byte(data), &h)
			hello <- h.Session
		case "bye":
			in.over = true
			return
		case "":
			if data == "" { // a comment
				break
			}
			if last++; id != strconv.FormatUint(last, 10) {
				p.c.m.t.Errorf("client %d: SSE frame %s, want %d", p.c.id, id, last)
			}
			select {
			case in.frames <- []byte(data):
				p.last = last
			case <-ctx.Done():
				return
			}
		}
		event, data, id = "", "", ""
	}
}

func (p *modelSSE) send(frames ...[]byte) error {
	return postFrames(p.c.m.s, p.base+"&session="+url.QueryEscape(p.session), frames)
}

func (p *modelSSE) resume() error {
	p.close()
	return p.open("&session=" + url.QueryEscape(p.session) + "&after=" + strconv.FormatUint(p.last, 10))
}

func (p *modelSSE) close() {
	p.end()
	<-p.broken
}
