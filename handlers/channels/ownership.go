package channels

import (
	"context"
	"strings"

	"github.com/duckwire/duckwire/hub/rights"
)

// Guard returns an authorizer that knows whose conversations are whose, so that the sockets and every other door say the same. Topics that are
// not about a conversation, and the topic of one that nobody has begun, are next's alone.
//
// A conversation's owner may do in it what the token allows there or in the lobby, and so hear of its status. Anybody else must have
// been given that topic: by a token that names it and not only a pattern that takes it in, or by the application where it is asked for rights.
// For a token for chats may well say conversation:*, and means the user's own. Admins of the topic and servers with an API key are held to
// their rights alone; so is who publishes the progress of work on status topics.
func (t *Table) Guard(next rights.Authorizer) rights.Authorizer { return ownership{t.talks, next} }

type ownership struct {
	talks *conversations
	next  rights.Authorizer
}

// Authorize implements rights.Authorizer.
func (o ownership) Authorize(ctx context.Context, id *rights.Identity, topic string, a rights.Action) error {
	conversation, begun, ok := conversationOf(topic, a)
	if !ok || id == nil || id.Service {
		return o.next.Authorize(ctx, id, topic, a)
	}
	owner, err := o.talks.owner(conversation)
	switch {
	case err != nil:
		return err
	case owner == id.User:
		return o.authorizeOwner(ctx, id, topic, a)
	case owner == "" && !begun:
	case id.Caps.Allows(topic, a) && !id.Caps.Names(topic, a) && !id.Caps.Allows(topic, rights.ActionAdmin):
		return rights.Forbidden(topic, a)
	}
	return o.next.Authorize(ctx, id, topic, a)
}

func (o ownership) authorizeOwner(ctx context.Context, id *rights.Identity, topic string, a rights.Action) error {
	err := o.next.Authorize(ctx, id, topic, a)
	if err != nil && o.next.Authorize(ctx, id, lobbyTopic, a) == nil {
		return nil
	}
	return err
}

// conversationOf returns the conversation that the right to do a on a topic is about; ok is false for none. begun says that there must be one:
// whoever waits for the status of a conversation that another user is about to begin would hear it.
func conversationOf(topic string, a rights.Action) (id string, begun, ok bool) {
	if topic == lobbyTopic {
		return "", false, false
	}
	if id, ok = strings.CutPrefix(topic, conversationPrefix); ok {
		return id, false, true
	}
	id, ok = strings.CutPrefix(topic, statusPrefix)
	return id, true, ok && (a == rights.ActionSubscribe || a == rights.ActionPresence)
}
