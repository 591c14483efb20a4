package doctor

import "time"

// From these durations on the doctor warns. The tests of what is in order change them, since a busy machine is as slow
// as a bad disk or proxy.
var (
	slowSync  = 100 * time.Millisecond // a write to the disk
	slowRedis = 5 * time.Millisecond   // a round trip to Redis, for which each published event waits
	clump     = 50 * time.Millisecond  // below it, two heartbeats that were sent a second apart came together
)
