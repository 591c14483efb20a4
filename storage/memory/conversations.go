package memory

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
)

func conversationKey(id string) string     { return "conversation " + id }
func conversationLockKey(id string) string { return "lock " + id }
func conversationsKey(owner string) string { return "conversations of " + owner }

// LoadConversation implements conversation.Store.
func (n *Node) LoadConversation(id string) (found *conversation.StoredRecord, err error) {
	err = n.do("load conversation", func(k *keyspace) {
		if c, ok := load[conversation.StoredRecord](k, conversationKey(id)); ok {
			c.Data = slices.Clone(c.Data)
			found = &c
		}
	})
	return found, err
}

// LatestConversation implements conversation.Store.
func (n *Node) LatestConversation(owner string) (id string, err error) {
	err = n.do("latest conversation", func(k *keyspace) {
		if ids, _ := load[[]string](k, conversationsKey(owner)); len(ids) > 0 {
			id = ids[len(ids)-1]
		}
	})
	return id, err
}

// SaveConversation implements conversation.Store.
func (n *Node) SaveConversation(c *conversation.StoredRecord, retention conversation.Retention) error {
	conflict := false
	saved := *c
	saved.Version++
	saved.Data = slices.Clone(c.Data)
	err := n.do("save conversation", func(k *keyspace) {
		old, ok := load[conversation.StoredRecord](k, conversationKey(c.ID))
		if conflict = ok && old.Version != c.Version; !conflict {
			k.set(conversationKey(c.ID), saved, retention.TTL)
		}
	})
	switch {
	case err != nil:
		return err
	case conflict:
		return fmt.Errorf(
			"the conversation has been changed by another node meanwhile; ask again: %w", errs.ErrConflict)
	}
	c.Version = saved.Version
	// A separate command, as in Redis: the list may be on another server.
	return n.do("list conversation", func(k *keyspace) {
		ids, _ := load[[]string](k, conversationsKey(c.Owner))
		ids = append(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == c.ID }), c.ID)
		for len(ids) > retention.OfUser {
			k.del(conversationKey(ids[0]))
			ids = ids[1:]
		}
		k.set(conversationsKey(c.Owner), ids, retention.TTL)
	})
}

// LockConversation implements conversation.Store.
func (n *Node) LockConversation(id string) (unlock func(), err error) {
	key, token, begun := conversationLockKey(id), rand.Text(), time.Now()
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 100*time.Millisecond) {
		locked := false
		err := n.do("lock conversation", func(k *keyspace) {
			if _, taken := load[string](k, key); !taken {
				k.set(key, token, conversation.LockTTL)
				locked = true
			}
		})
		switch {
		case err != nil:
			return nil, err
		case locked:
			return func() { n.unlockConversation(key, token) }, nil
		case time.Since(begun) > conversation.LockPatience:
			return nil, fmt.Errorf("the conversation is being changed by another node: %w", errs.ErrUnavailable)
		case !n.sleep(delay):
			return nil, unavailable("the node ends")
		}
	}
}

// unlockConversation releases a lock. If that fails, the lock expires.
func (n *Node) unlockConversation(key, token string) {
	_ = n.do("unlock conversation", func(k *keyspace) {
		if holder, _ := load[string](k, key); holder == token {
			k.del(key)
		}
	})
}
