package conversation

import (
	"context"

	"github.com/duckwire/duckwire/hub/rights"
)

// Guard returns an authorizer that takes the owners of conversations into account. All transports use it, so that they
// decide alike. For topics that do not belong to a conversation, and for the topic of a conversation that does not
// exist, only next decides.
//
// The owner of a conversation may do what the token allows on its topic or in the lobby, which includes reading its
// status. Any other user needs the topic itself: in a token that names it without a *, or from an application that
// decides about rights. A pattern such as conversation:* is not enough, because tokens for chats contain it and mean
// the user's own conversations. For admins of the topic, for servers with an API key, and for publishing on status
// topics, only the rights count.
func (cs *Service) Guard(next rights.Authorizer) rights.Authorizer { return ownership{cs, next} }

type ownership struct {
	service *Service
	next    rights.Authorizer
}

// Authorize implements rights.Authorizer.
func (o ownership) Authorize(ctx context.Context, id *rights.Identity, topic string, a rights.Action) error {
	conversation, mustExist, ok := conversationOf(topic, a)
	if !ok || id == nil || id.Service {
		return o.next.Authorize(ctx, id, topic, a)
	}
	owner, err := o.service.owner(conversation)
	switch {
	case err != nil:
		return err
	case owner == id.User:
		return o.authorizeOwner(ctx, id, topic, a)
	case owner == "" && !mustExist:
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

// ActionToCancel returns the action that must be allowed to a user who cancels the running answer: for the user who
// asked the question and for the conversation's owner ActionComplete, for others ActionAdmin.
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
