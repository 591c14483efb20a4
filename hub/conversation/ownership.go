package conversation

import (
	"context"

	"github.com/duckwire/duckwire/hub/rights"
)

// Guard returns an authorizer that knows whose conversations are whose, so that the sockets and every other door say
// the same. Topics that are not about a conversation, and the topic of one that nobody has begun, are next's alone.
//
// A conversation's owner may do in it what the token allows there or in the lobby, and so hear of its status. Anybody
// else must have been given that topic: by a token that names it and not only a pattern that takes it in, or by the
// application where it is asked for rights. For a token for chats may well say conversation:*, and means the user's
// own. Admins of the topic and servers with an API key are held to their rights alone; so is who publishes the progress
// of work on status topics.
func (cs *Service) Guard(next rights.Authorizer) rights.Authorizer { return ownership{cs, next} }

type ownership struct {
	service *Service
	next    rights.Authorizer
}

// Authorize implements rights.Authorizer.
func (o ownership) Authorize(ctx context.Context, id *rights.Identity, topic string, a rights.Action) error {
	conversation, begun, ok := conversationOf(topic, a)
	if !ok || id == nil || id.Service {
		return o.next.Authorize(ctx, id, topic, a)
	}
	owner, err := o.service.owner(conversation)
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
	if err != nil && o.next.Authorize(ctx, id, LobbyTopic, a) == nil {
		return nil
	}
	return err
}

// ActionToCancel returns the right that a user needs to cancel the answer that is being made. Who asked the question,
// and the conversation's owner, need the right to complete; others must be admins.
func (s *Session) ActionToCancel(user string) (rights.Action, error) {
	r, err := s.Record()
	if err != nil {
		return "", err
	}
	if user == s.owner || r.Running == nil || r.Running.User == user {
		return rights.ActionComplete, nil
	}
	return rights.ActionAdmin, nil
}
