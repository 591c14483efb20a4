package middleware

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// Responses counts finished requests by method, route pattern and class of status. Each of these has few possible
// values, so the number of counters is bounded. The zero value is ready to use. It is safe for concurrent use.
type Responses struct {
	counts sync.Map // responseKey → *atomic.Uint64
}

type responseKey struct {
	method, route string
	class         int
}

// Count counts the responses of next. A long response is counted when it ends.
func (c *Responses) Count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec, aborted := record(w), true
		defer func() { c.add(responseKey{methodName(r.Method), RoutePattern(r), statusOf(rec, aborted) / 100}) }()
		next.ServeHTTP(rec, r)
		aborted = false
	})
}

func (c *Responses) add(key responseKey) {
	n, ok := c.counts.Load(key)
	if !ok {
		n, _ = c.counts.LoadOrStore(key, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// methodName maps unknown methods to "other", so that clients cannot create counters.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Each calls f for each counter. class is the first digit of the status, or 0 if the response was cut off before a
// status was sent. route is "" for paths that match no route.
func (c *Responses) Each(f func(method, route string, class int, n uint64)) {
	c.counts.Range(func(key, n any) bool {
		k := key.(responseKey)
		f(k.method, k.route, k.class, n.(*atomic.Uint64).Load())
		return true
	})
}
