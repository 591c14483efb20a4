package redis

import (
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub"
)

//go:embed presence_save.lua
var presenceSave string

var presenceScript = newScript(presenceSave)

// presenceTTL is the retention of a topic's metas without changes. A node whose users stay longer saves them again
// when it finds them missing.
const presenceTTL = 7 * 24 * time.Hour

// What is kept of metas that have left, so that late saves do not bring them back: for how long after the last of them,
// and of how many of a topic.
const (
	leftTTL = 10 * time.Minute
	maxLeft = 1000
)

// SavePresences implements hub.PresenceStore.
func (s *Store) SavePresences(topic string, metas []hub.SharedPresence) error {
	key := s.presenceKey(topic)
	args := append(make([]string, 0, 4+4*len(metas)),
		s.channel(key), millis(presenceTTL), millis(leftTTL), strconv.Itoa(maxLeft))
	for i := range metas {
		m := &metas[i]
		raw, err := json.Marshal(m)
		if err != nil {
			return err
		}
		left := "0"
		if m.Gone {
			left = "1"
		}
		args = append(args, m.ID, strconv.Itoa(m.Generation), left, rueidis.BinaryString(raw))
	}
	if err := s.run(presenceScript, []string{key, key + ":l"}, args).Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// Presences implements hub.PresenceStore.
func (s *Store) Presences(topic string) ([]hub.SharedPresence, error) {
	texts, err := s.do(s.client.B().Hvals().Key(s.presenceKey(topic)).Build()).AsStrSlice()
	if err != nil {
		return nil, unavailable(err)
	}
	for i := range texts {
		_, texts[i], _ = strings.Cut(texts[i], " ")
	}
	return parsePresences(texts)
}

func parsePresences(texts []string) ([]hub.SharedPresence, error) {
	metas := make([]hub.SharedPresence, len(texts))
	for i := range texts {
		if err := json.Unmarshal([]byte(texts[i]), &metas[i]); err != nil {
			return nil, err
		}
	}
	return metas, nil
}

// FollowPresences implements hub.PresenceStore.
func (s *Store) FollowPresences(topic string, heard func([]hub.SharedPresence), gap func()) (stop func()) {
	return s.bus.follow(s.channel(s.presenceKey(topic)), &follower{gap: gap, heard: func(message string) {
		metas, err := parsePresences(strings.Split(message, "\n"))
		if err != nil {
			s.Logger.Error("presences of another node cannot be parsed; do the nodes run different versions?",
				"topic", topic, "error", err)
			gap()
			return
		}
		heard(metas)
	}})
}
