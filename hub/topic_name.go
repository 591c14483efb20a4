package hub

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
)

// MaxTopic is the length limit of topic names, in bytes.
const MaxTopic = 255

// phoenixTopic is the topic of the Phoenix protocol's heartbeat (Phoenix: assets/js/phoenix/socket.js, sendHeartbeat).
const phoenixTopic = "phoenix"

// ValidTopic returns nil if s may name a topic: kind:scope:id or any other number of segments, such as "lobby" or
// "code:file:lib/a b.ex".
//
// A name has 1 to 255 bytes of valid UTF-8, of printable characters (unicode.IsPrint: no control, format or
// line-separating ones), with no space at either end and no empty segment. Characters that occur in the paths of files
// are allowed, also letters of other scripts. These are refused:
//
//   - * is reserved for patterns of topics.
//   - ? and # end the path of a URL: a name that was not percent-encoded would silently be another topic.
//   - a/../b and a/./b: URL parsers remove such segments, percent-encoded or not (WHATWG URL, section 4.4), so the name
//     would silently be another topic.
//   - U+FFFD is what decoders make of text that was not valid Unicode, such as half a surrogate pair.
//   - phoenix, as the whole name, is reserved for that protocol.
//
// Names are compared byte by byte, without normalization. The error is a *FieldError for the field "topic".
func ValidTopic(s string) error {
	if reason := topicNameProblem(s); reason != "" {
		return &errs.FieldError{Field: "topic", Reason: reason}
	}
	return nil
}

// topicNameProblem returns what is wrong with a topic's name; "" if it is valid.
func topicNameProblem(s string) string {
	switch {
	case s == "":
		return "is empty; a topic is named like code:project:42"
	case len(s) > MaxTopic:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), MaxTopic)
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case s == phoenixTopic:
		return "\"phoenix\" is reserved for the protocol's heartbeat"
	case s[0] == ' ' || s[len(s)-1] == ' ':
		return "begins or ends with a space"
	case s[0] == ':' || s[len(s)-1] == ':' || strings.Contains(s, "::"):
		return "has an empty segment; there must be something on both sides of each ':'"
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return fmt.Sprintf("holds %q as a part between slashes, which URLs fold away", part)
		}
	}
	for _, r := range s {
		switch {
		case r == '*', r == '?', r == '#':
			return fmt.Sprintf("holds %q, which no topic may", r)
		case r == utf8.RuneError:
			return "holds U+FFFD, which stands for text that was not valid Unicode"
		case !unicode.IsPrint(r):
			return fmt.Sprintf("holds the character %U, which is not printable", r)
		}
	}
	return ""
}
