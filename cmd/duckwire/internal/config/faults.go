package config

import (
	"fmt"
	"strings"
)

// faults collects what is wrong with a configuration, so that one start shows all of it.
type faults []string

// add notes err, if it is one, with the place where it was set.
func (f *faults) add(where string, err error) {
	switch {
	case err == nil:
	case where == "":
		*f = append(*f, err.Error())
	default:
		*f = append(*f, fmt.Sprintf("%s (from %s)", err, where))
	}
}

// err returns all faults as one *Error, or nil.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Faults: f}
}

// Error is a configuration that cannot be used, with everything that is wrong with it.
type Error struct{ Faults []string }

func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return "configuration: " + e.Faults[0]
	}
	return "configuration:\n  " + strings.Join(e.Faults, "\n  ")
}
