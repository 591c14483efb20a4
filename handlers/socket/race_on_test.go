//go:build race

package socket

// raceEnabled is true if sync.Pool drops some objects at random, as it does with the race detector.
const raceEnabled = true
