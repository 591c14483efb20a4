package doctor

import "syscall"

// clockIsSet reports whether a time service synchronizes the kernel's clock (adjtimex(2)).
func clockIsSet() (set, known bool) {
	const unsynchronized = 0x40 // STA_UNSYNC
	var t syscall.Timex
	if _, err := syscall.Adjtimex(&t); err != nil {
		return false, false
	}
	return t.Status&unsynchronized == 0, true
}
