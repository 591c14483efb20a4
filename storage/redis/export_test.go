package redis

import (
	"strings"
	"time"
)

// Follow follows a channel; see bus.follow.
func (s *Store) Follow(channel string, heard func(message string), gap func()) (stop func()) {
	return s.bus.follow(channel, &follower{heard: heard, gap: gap})
}

// Publish publishes a message.
func (s *Store) Publish(channel, message string) error {
	return s.client.Do(s.ctx, s.client.B().Publish().Channel(channel).Message(message).Build()).Error()
}

// Forget deletes all data in Redis.
func (s *Store) Forget() error { return s.do(s.client.B().Flushall().Build()).Error() }

// LoseLog deletes the events of a topic, except for the ephemeral ones. What else Redis has of it stays.
func (s *Store) LoseLog(topic string) error {
	return s.do(s.client.B().Del().Key(s.topicKey(topic) + ":l").Build()).Error()
}

// ExpireLease makes this node declare another one dead at its next beat, as if the other's lease had expired.
func (s *Store) ExpireLease(node string) error {
	s.EndGrace()
	return s.do(s.client.B().Del().Key(s.leaseKey(node)).Build()).Error()
}

// Knows reports whether this node still has to find out that another one has died.
func (s *Store) Knows(node string) bool {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	_, listed := s.nodes.alive[node]
	return listed || s.nodes.watched[node]
}

// LastBeat returns when this node's last successful beat began.
func (s *Store) LastBeat() time.Time {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	return s.nodes.lastBeat
}

// Holds is leaseHolds.
var Holds = leaseHolds

// Leased reports whether a node's lease exists in Redis.
func (s *Store) Leased(node string) (bool, error) {
	exists, _, err := s.lookUp(node)
	return exists, err
}

// EndGrace makes this node declare others dead without the grace period after its start.
func (s *Store) EndGrace() {
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	s.nodes.noDeathsUntil = time.Time{}
}

const (
	ShortBytes = shortBytes
	PieceBytes = pieceBytes
)

// UnderWay returns how many bytes are in transit between this node and others.
func (s *Store) UnderWay() (n int64) {
	p := &s.transfers
	for _, b := range []*budget{&p.requests, &p.answers, &p.received} {
		b.mu.Lock()
		n += b.used
		b.mu.Unlock()
	}
	return n
}

// SendPart sends a node the first piece of a request only.
func (s *Store) SendPart(node string) error {
	return s.sendPiece(node, &frame{
		kind: requestFrame, from: s.Options.Node, id: 1 << 40, size: 1 << 20,
		piece: []byte("x"),
	})
}

// Sweep discards partial messages that have received nothing since a moment.
func (s *Store) Sweep(since time.Time) { s.transfers.sweep(since) }

// FrameAgain parses a frame and encodes it again.
func FrameAgain(b []byte) ([]byte, error) {
	f, err := parseFrame(b)
	if err != nil {
		return nil, err
	}
	return f.encode(), nil
}

// SomeFrame returns a frame.
func SomeFrame() []byte {
	return (&frame{kind: requestFrame, from: "n1", id: 7, size: 300_000, at: 262_144, piece: []byte("piece")}).encode()
}

// Address is a parsed URL.
type Address struct {
	Servers, Master, User, Password string
	Database                        int
	SentinelUser, SentinelPassword  string
	TLS                             bool
}

// ParseAddress is parseURL.
func ParseAddress(url string) (Address, error) {
	o, err := parseURL(url)
	return Address{
		Servers: strings.Join(o.InitAddress, " "), Master: o.Sentinel.MasterSet, User: o.Username, Password: o.Password,
		Database:     o.SelectDB,
		SentinelUser: o.Sentinel.Username, SentinelPassword: o.Sentinel.Password, TLS: o.TLSConfig != nil,
	}, err
}
