package redis

import (
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub"
)

//go:embed queue_lib.lua
var queueLib string

//go:embed queue_add.lua
var queueAdd string

//go:embed queue_page.lua
var queuePage string

//go:embed queue_ack.lua
var queueAck string

//go:embed queue_expire.lua
var queueExpire string

//go:embed queue_summary.lua
var queueSummary string

var (
	queueAddScript     = newReplicated(contentLib, queueLib, queueAdd)
	queuePageScript    = newScript(queueLib, queuePage)
	queueAckScript     = newScript(queueLib, queueAck)
	queueExpireScript  = newScript(queueLib, queueExpire)
	queueSummaryScript = newScript(queueLib, queueSummary)
)

// idTTL is how long the id of a message is remembered after QueuedAt, even if the message is acknowledged.
const idTTL = 10 * time.Minute

// runQueue runs a script of the queues, stores the epoch that it returns, and returns its other values.
func (s *Store) runQueue(script *script, args ...string) ([]string, error) {
	newEpoch := strings.ToLower(rand.Text()[:16])
	out, err := s.run(script, []string{s.queueKey(), s.channel(s.queueKey())},
		append([]string{newEpoch}, args...)).AsStrSlice()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(out) == 0 {
		return nil, errAnswer
	}
	if old := s.queueEpoch.Swap(&out[0]); old != nil && *old != out[0] {
		s.Logger.Warn("Redis may have lost data: queues get a new epoch, and waiting messages are delivered again")
	}
	return out[1:], nil
}

// QueueEpoch implements hub.QueueStore. It is "" before the first successful script.
func (s *Store) QueueEpoch() string {
	if epoch := s.queueEpoch.Load(); epoch != nil {
		return *epoch
	}
	return ""
}

// Enqueue implements hub.QueueStore.
func (s *Store) Enqueue(messages []hub.StoredMessage, limits hub.QueueLimits) ([]uint64, error) {
	args := append(make([]string, 0, 3+6*len(messages)),
		strconv.Itoa(limits.Messages), strconv.FormatInt(limits.Bytes, 10), millis(idTTL))
	for i := range messages {
		m := &messages[i]
		raw, err := encodeMessage(m)
		if err != nil {
			return nil, err
		}
		key := ""
		if m.Named {
			key = m.Sender + "\x00" + m.ID
		}
		args = append(args, m.User, key, unixMilli(m.QueuedAt), unixMilli(m.ExpiresAt), strconv.Itoa(len(m.Payload)),
			rueidis.BinaryString(raw))
	}
	out, err := s.runQueue(queueAddScript, args...)
	switch {
	case err != nil:
		return nil, err
	case len(out) == 4 && out[0] == "full":
		return nil, hub.QueueFull(out[1], int(number(out[2])), int64(number(out[3])), limits)
	case len(out) == 2 && out[0] == "conflict":
		return nil, idConflict(int64(number(out[1])), nil)
	case len(out) != len(messages):
		return nil, errAnswer
	}
	offsets := make([]uint64, len(out))
	for i := range out {
		offsets[i] = number(out[i])
	}
	return offsets, nil
}

// Messages implements hub.QueueStore.
func (s *Store) Messages(user string, after uint64, limit int) (page hub.QueuePage, err error) {
	out, err := s.runQueue(queuePageScript, user, strconv.FormatUint(after, 10), strconv.Itoa(limit),
		strconv.Itoa(hub.PageBytes))
	if err != nil {
		return page, err
	}
	if len(out) < 5 {
		return page, errAnswer
	}
	page = hub.QueuePage{
		Head: number(out[0]), Tail: number(out[1]), Before: parseBefore(out[4]),
		Expired: int(number(out[2])), ExpiredThrough: number(out[3]),
	}
	for rest := out[5:]; len(rest) >= 3; rest = rest[3:] {
		var m hub.StoredMessage
		if err := json.Unmarshal([]byte(rest[2]), &m); err != nil {
			return page, err
		}
		m.Offset, m.ExpiresAt = number(rest[0]), time.UnixMilli(int64(number(rest[1]))).UTC()
		page.Messages = append(page.Messages, m)
	}
	return page, nil
}

// AckMessages implements hub.QueueStore.
func (s *Store) AckMessages(user string, through uint64) (ahead bool, err error) {
	out, err := s.runQueue(queueAckScript, user, strconv.FormatUint(through, 10))
	return err == nil && out[0] == "ahead", err
}

// ExpireMessages implements hub.QueueStore.
func (s *Store) ExpireMessages(user string, now time.Time, limit int) (int, error) {
	out, err := s.runQueue(queueExpireScript, user, unixMilli(now), strconv.Itoa(limit), millis(idTTL))
	if err != nil {
		return 0, err
	}
	return int(number(out[0])), nil
}

// QueueSummaries implements hub.QueueStore.
func (s *Store) QueueSummaries(limit int) (list []hub.QueueSummary, all hub.QueueTotals, err error) {
	out, err := s.runQueue(queueSummaryScript, strconv.Itoa(limit))
	if err != nil {
		return nil, all, err
	}
	if len(out) < 4 {
		return nil, all, errAnswer
	}
	all = hub.QueueTotals{Users: int(number(out[0])), Messages: int(number(out[1])), Bytes: int64(number(out[2]))}
	if oldest := number(out[3]); oldest > 0 {
		all.Oldest = time.UnixMilli(int64(oldest)).UTC()
	}
	for rest := out[4:]; len(rest) >= 4; rest = rest[4:] {
		list = append(list, hub.QueueSummary{
			User: rest[0], Messages: int(number(rest[1])), Bytes: int64(number(rest[2])),
			Oldest: time.UnixMilli(int64(number(rest[3]))).UTC(),
		})
	}
	return list, all, nil
}

// FollowQueue implements hub.QueueFollower.
func (s *Store) FollowQueue(user string, changed func()) (stop func()) {
	return s.bus.follow(s.channel(s.queueKey()+"c:"+user), &follower{heard: func(string) { changed() }, gap: changed})
}

func unixMilli(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// number parses a number that a script wrote.
func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}
