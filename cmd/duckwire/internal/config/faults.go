package config

import (
	"fmt"
	"strings"
)

// faults collects all errors in a configuration, so that they can be reported at once.
type faults []string

// add adds err, unless it is nil, with the place where the setting was set.
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

// Error reports all errors in a configuration that cannot be used.
type Error struct{ Faults []string }

func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return "configuration: " + e.Faults[0]
	}
	return "configuration:\n  " + strings.Join(e.Faults, "\n  ")
}
