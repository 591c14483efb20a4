package middleware

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// Responses counts finished requests by method, route pattern and class of status, all of which are of small, fixed sets. The zero value is
// empty. Safe for concurrent use.
type Responses struct {
	counts sync.Map // responseKey → *atomic.Uint64
}

type responseKey struct {
	method, route string
	class         int
}

// Count counts what next answers. A long response counts when it ends.
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

// methodName keeps methods of a client's own invention out of what is counted.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Each calls f with each count. class is the first digit of the status; 0 where the response was cut before there was one. route is "" for paths
// that there are not.
func (c *Responses) Each(f func(method, route string, class int, n uint64)) {
	c.counts.Range(func(key, n any) bool {
		k := key.(responseKey)
		f(k.method, k.route, k.class, n.(*atomic.Uint64).Load())
		return true
	})
}
