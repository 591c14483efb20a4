package auth

import (
	"container/list"
	"sync"
	"time"
)

// answerCache is an LRU cache of the application's answers, each with its own expiry. It is safe for concurrent use.
type answerCache struct {
	mu    sync.Mutex
	most  int
	byKey map[question]*list.Element
	order *list.List // of *answer, the most recently used first
}

type answer struct {
	question question
	verdict  verdictKind
	until    time.Time
}

func newAnswerCache(most int) *answerCache {
	return &answerCache{most: most, byKey: map[question]*list.Element{}, order: list.New()}
}

// get returns the cached answer to q if it has not expired.
func (c *answerCache) get(q question, now time.Time) (verdictKind, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[q]
	if !ok {
		return verdictNone, false
	}
	a := el.Value.(*answer)
	if !now.Before(a.until) {
		c.remove(el)
		return verdictNone, false
	}
	c.order.MoveToFront(el)
	return a.verdict, true
}

// put caches an answer for ttl, or not at all if ttl is not positive.
func (c *answerCache) put(q question, v verdictKind, now time.Time, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[q]; ok {
		c.remove(el)
	}
	c.byKey[q] = c.order.PushFront(&answer{question: q, verdict: v, until: now.Add(ttl)})
	if c.order.Len() > c.most {
		c.remove(c.order.Back())
	}
}

// remove removes an entry. The caller holds c.mu.
func (c *answerCache) remove(el *list.Element) {
	delete(c.byKey, el.Value.(*answer).question)
	c.order.Remove(el)
}
