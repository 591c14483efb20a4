package phoenix

import "strings"

// Version is a version of the serializer.
type Version uint8

// The versions. V2 frames are arrays with a join_ref, and may be binary; V1 frames are objects.
const (
	V1 Version = iota + 1
	V2
)

// ParseVersion parses the parameter vsn. Absent means 1.0.0. Any patch of 1.0 and 2.0 is accepted, with builds and the
// patches' pre-releases; ok is false for anything else.
func ParseVersion(vsn string, present bool) (v Version, ok bool) {
	if !present {
		return V1, true
	}
	patch, ok := strings.CutPrefix(vsn, "2.0.")
	v = V2
	if !ok {
		patch, ok = strings.CutPrefix(vsn, "1.0.")
		v = V1
	}
	return v, ok && validPatch(patch)
}

// validPatch reports whether s is a patch level (semver 2.0.0): a number, with an optional pre-release and build. A
// pre-release of patch 0 precedes the version itself, so it is rejected.
func validPatch(s string) bool {
	s, build, hasBuild := strings.Cut(s, "+")
	number, pre, hasPre := strings.Cut(s, "-")
	if number == "" || len(number) > 9 || strings.Trim(number, "0123456789") != "" || len(number) > 1 && number[0] == '0' {
		return false
	}
	return (!hasPre || number != "0" && validIdentifiers(pre)) && (!hasBuild || validIdentifiers(build))
}

// validIdentifiers reports whether s may follow the - or the + of a version.
func validIdentifiers(s string) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" || strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != "" {
			return false
		}
	}
	return true
}
