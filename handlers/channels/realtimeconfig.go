package channels

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// realtimeTopic is what the topics of Supabase's clients begin with.
const realtimeTopic = "realtime:"

// subTopic returns the name by which Supabase's clients know a topic.
func subTopic(topic string) string { return strings.TrimPrefix(topic, realtimeTopic) }

// realtimeJoin are the join parameters of Supabase's clients. Other clients have no Config.
type realtimeJoin struct {
	Config      *realtimeConfig `json:"config"`
	AccessToken string          `json:"access_token"` // replaces the socket's token
}

// realtimeConfig is the options of a channel; "private" is ignored, since every topic needs rights here.
type realtimeConfig struct {
	Broadcast struct {
		Self   looseBool `json:"self"` // the sender gets its own broadcasts
		Ack    looseBool `json:"ack"`  // broadcasts are answered
		Replay *replay   `json:"replay"`
	} `json:"broadcast"`
	Presence struct {
		Enabled looseBool   `json:"enabled"`
		Key     presenceKey `json:"key"`
	} `json:"presence"`
	PostgresChanges []map[string]json.RawMessage `json:"postgres_changes"`
	PostgresOptions struct {
		Wait looseBool `json:"wait"`
	} `json:"postgres_changes_options"`
}

// replay asks for events of the past: the newest Limit of those since a Unix time in milliseconds.
type replay struct {
	Since int64 `json:"since"`
	Limit *int  `json:"limit"`
}

// looseBool is true or false, also as a string, which some of Supabase's clients send.
type looseBool bool

// UnmarshalJSON implements json.Unmarshaler.
func (b *looseBool) UnmarshalJSON(raw []byte) error {
	switch strings.ToLower(strings.Trim(string(raw), `"`)) {
	case "true":
		*b = true
	case "false", "null":
		*b = false
	default:
		return fmt.Errorf("must be true or false; got %.40s", raw)
	}
	return nil
}

// presenceKey is a text, or a number that stands for one.
type presenceKey struct{ text string }

// UnmarshalJSON implements json.Unmarshaler.
func (k *presenceKey) UnmarshalJSON(raw []byte) error {
	text, ok := jsonw.String(raw)
	switch {
	case ok:
		k.text = text
	case string(raw) == "null":
	case raw[0] == '{' || raw[0] == '[':
		return fmt.Errorf("presence.key must be a string; got %.40s", raw)
	default:
		k.text = string(raw)
	}
	return nil
}
