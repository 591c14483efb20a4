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

// validPatch reports whether s is a patch level (semver 2.0.0): a number, and perhaps a pre-release and a build. A pre-release of patch 0
// comes before the version itself, so that it is not that version.
func validPatch(s string) bool {
	s, build, hasBuild := strings.Cut(s, "+")
	number, pre, hasPre := strings.Cut(s, "-")
	if number == "" || len(number) > 9 || strings.Trim(number, "0123456789") != "" || len(number) > 1 && number[0] == '0' {
		return false
	}
	return (!hasPre || number != "0" && validIdentifiers(pre)) && (!hasBuild || validIdentifiers(build))
}

// validIdentifiers reports whether s is what may follow the - or the + of a version.
func validIdentifiers(s string) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" || strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != "" {
			return false
		}
	}
	return true
}
