package redistest

import "go.uber.org/goleak"

// Leftovers are the goroutines that rueidis leaves behind for a while, which no test can wait for: two for a connection whose other end takes everything
// and answers nothing, once for each such loss; one that waits five seconds before it closes connections to servers that are no longer of a cluster; and
// one that waits a second before it would ask a cluster, or a server that redirects, for its shape.
func Leftovers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*pipe)._background"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*pipe)._backgroundWrite"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
	}
}
