//go:build !linux

package httpserver

import "time"

// setUserTimeout does nothing: vanished peers are found by keep-alive probes and by the deadlines of writes.
func setUserTimeout(uintptr, time.Duration) error { return nil }
