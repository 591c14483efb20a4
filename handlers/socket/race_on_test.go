//go:build race

package socket

// raceEnabled says that sync.Pool throws away what it is given now and then.
const raceEnabled = true
