package phoenix

import "strings"

// Version is a version of the serializer.
type Version uint8

// The versions. V2 frames are arrays with a join_ref, and may be binary; V1 frames are objects without.
const (
	V1 Version = iota + 1
	V2
)

// ParseVersion reads the parameter vsn. Absent means 1.0.0; any patch of 1.0 and 2.0 is taken, builds and the patches' release candidates
// included; anything else is refused (ok is false).
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

// validPatch reports whether s is a patch level (semver 2.0.0): a number, and perhaps a pre-release or build. A pre-release of patch 0 comes
// before the version itself, so that it is not that version.
func validPatch(s string) bool {
	number, rest := s, ""
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		number, rest = s[:i], s[i:]
	}
	if number == "" || len(number) > 9 || strings.Trim(number, "0123456789") != "" || len(number) > 1 && number[0] == '0' {
		return false
	}
	return len(rest) != 1 && (number != "0" || !strings.HasPrefix(rest, "-"))
}
