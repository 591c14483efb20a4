package redistest

import "go.uber.org/goleak"

// Leftovers are goroutines that rueidis leaves behind for a while, and that no test can wait for: two for each lost
// connection whose other end accepts everything and answers nothing; one that waits five seconds before it closes
// connections to servers that left a cluster; and one that waits a second before it would ask a cluster, or a server
// that redirects, for its topology.
func Leftovers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*pipe)._background"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*pipe)._backgroundWrite"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
	}
}
