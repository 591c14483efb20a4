package rights

import "time"

// Action is something that a capability allows on a topic.
type Action string

// The actions of a capability. ActionAll in a grant means every action.
const (
	ActionSubscribe Action = "subscribe" // read a topic or a stream announced on it
	ActionPublish   Action = "publish"   // publish events
	ActionPresence  Action = "presence"  // be present, see who is
	ActionComplete  Action = "complete"  // start completions, cancel one's own
	ActionProduce   Action = "produce"   // create streams and append to them
	ActionQueue     Action = "queue"     // enqueue messages for users
	ActionAct       Action = "act"       // on user:ID: make requests as that user (Identity.ActFor)
	ActionAdmin     Action = "admin"     // everything, everyone's
	ActionAll       Action = "*"
)

// Identity says who makes a request, as a verified token or API key states it. It is immutable and may be shared.
type Identity struct {
	User    string    // the token's subject; "user?id=UUID" is reduced to UUID. Never empty.
	Caps    Caps      // what the credential itself grants
	Expires time.Time // zero: never
	Issued  time.Time // zero: the token does not say
	TokenID string    // the token's jti, or the API key's name; "" if it has none
	Service bool      // an API key: a server, not a person
	Actor   *Identity // who acts for User, with its own credential; nil: User itself
}
