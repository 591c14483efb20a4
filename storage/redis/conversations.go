package redis

import (
	"crypto/rand"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
)

//go:embed conversation_save.lua
var conversationSaveLua string

var (
	conversationSaveScript   = newScript(conversationSaveLua)
	conversationUnlockScript = newScript("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
)

// LoadConversation implements conversation.Store.
func (s *Store) LoadConversation(id string) (*conversation.StoredRecord, error) {
	fields, err := s.do(s.client.B().Hgetall().Key(s.conversationKey(id)).Build()).AsStrMap()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	version, err := strconv.ParseInt(fields["v"], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the conversation %q in Redis is none of ours: %w", id, err)
	}
	return &conversation.StoredRecord{ID: id, Owner: fields["o"], Version: version, Data: []byte(fields["d"])}, nil
}

// LatestConversation implements conversation.Store.
func (s *Store) LatestConversation(owner string) (string, error) {
	ids, err := s.do(s.client.B().Zrevrange().Key(s.conversationsKey(owner)).Start(0).Stop(0).Build()).AsStrSlice()
	if err != nil {
		return "", unavailable(err)
	}
	if len(ids) == 0 {
		return "", nil
	}
	return ids[0], nil
}

// SaveConversation implements conversation.Store.
func (s *Store) SaveConversation(c *conversation.StoredRecord, retention conversation.Retention) error {
	args := []string{strconv.FormatInt(c.Version, 10), c.Owner, rueidis.BinaryString(c.Data), millis(retention.TTL)}
	version, err := s.run(conversationSaveScript, []string{s.conversationKey(c.ID)}, args).AsInt64()
	switch {
	case err != nil:
		return unavailable(err)
	case version < 0:
		return fmt.Errorf(
			"the conversation has been changed by another node meanwhile; ask again: %w", errs.ErrConflict)
	}
	isNew := c.Version == 0
	c.Version = version
	return s.addToOwner(c, isNew, retention)
}

// addToOwner puts a conversation at the end of its owner's list, and deletes the oldest beyond the retention. The list
// may be on another server than the conversation, so the two do not change atomically. A conversation that is missing
// in the list is not found as the latest until it is saved again.
func (s *Store) addToOwner(c *conversation.StoredRecord, isNew bool, retention conversation.Retention) error {
	key, now := s.conversationsKey(c.Owner), time.Now().UnixMilli()
	b := s.client.B
	_, err := s.doAll(
		b().Zadd().Key(key).ScoreMember().ScoreMember(float64(now), c.ID).Build(),
		b().Pexpire().Key(key).Milliseconds(retention.TTL.Milliseconds()).Build(),
	)
	if err != nil || !isNew {
		return err
	}
	oldest := strconv.FormatInt(now-retention.TTL.Milliseconds(), 10)
	answers, err := s.doAll(
		b().Zremrangebyscore().Key(key).Min("-inf").Max(oldest).Build(),
		b().Zrange().Key(key).Min("0").Max(strconv.Itoa(-retention.OfUser-1)).Build(),
	)
	if err != nil {
		return err
	}
	tooMany, err := answers[1].AsStrSlice()
	if err != nil || len(tooMany) == 0 {
		return err
	}
	drop := []rueidis.Completed{b().Zrem().Key(key).Member(tooMany...).Build()}
	for _, id := range tooMany {
		drop = append(drop, b().Del().Key(s.conversationKey(id)).Build())
	}
	_, err = s.doAll(drop...)
	return err
}

// LockConversation implements conversation.Store.
func (s *Store) LockConversation(id string) (unlock func(), err error) {
	key, token := s.conversationLockKey(id), rand.Text()
	// pinned, because it is sent repeatedly
	setLock := s.client.B().Set().Key(key).Value(token).Nx().Px(conversation.LockTTL).Build().Pin()
	begun := time.Now()
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 100*time.Millisecond) {
		err := s.do(setLock).Error()
		switch {
		case err == nil:
			return func() { s.unlockConversation(key, token) }, nil
		case !rueidis.IsRedisNil(err):
			return nil, unavailable(err)
		case time.Since(begun) > conversation.LockPatience:
			return nil, fmt.Errorf("the conversation is being changed by another node: %w", errs.ErrUnavailable)
		}
		select {
		case <-time.After(delay):
		case <-s.ctx.Done():
			return nil, unavailable(s.ctx.Err())
		}
	}
}

func (s *Store) unlockConversation(key, token string) {
	err := s.run(conversationUnlockScript, []string{key}, []string{token}).Error()
	if err != nil && !rueidis.IsRedisNil(err) {
		s.Logger.Warn("a conversation cannot be unlocked; the lock expires by itself", "error", err)
	}
}
