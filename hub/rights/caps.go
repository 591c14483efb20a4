package rights

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub/errs"
)

// Limits of a set of capabilities.
const (
	MaxCapsPatterns = 256 // patterns in one set
	MaxCapsPattern  = 512 // bytes of one pattern as written, before {sub} is replaced
	MaxCapsActions  = 16  // actions listed for one pattern
)

// subVariable stands for the user in a pattern.
const subVariable = "{sub}"

// Caps is a parsed set of capabilities: which actions are allowed on which topics. The zero Caps allows nothing. Caps
// is immutable: it may be copied, shared and used by many goroutines.
type Caps struct{ grants []grant }

// grant allows actions on one topic, or on all topics that begin with text.
type grant struct {
	text    string // the pattern with {sub} replaced, without its final *
	prefix  bool   // the pattern had a final *
	actions actionSet
	display string // the pattern as Map returns it; parsed again for the same user, it gives this grant
}

// ParseCaps reads a claim such as {"code:project:42": ["subscribe","publish"], "user:{sub}": ["*"]}: patterns of topics
// and the actions that each allows.
//
// A pattern is the name of a topic. A * at its end matches any suffix, also the empty one. {sub} stands for user, whose
// characters are always literal: for user "*", "user:{sub}" matches only the (impossible) topic "user:*". "{sub}*" is
// refused, since for user 1 it would also match user 12. An empty list of actions allows nothing and is no error.
// Errors are *FieldError with a Field such as caps["code:*"][1]; the same input always gives the same error.
func ParseCaps(raw map[string][]string, user string) (Caps, error) {
	if len(raw) > MaxCapsPatterns {
		return Caps{}, errs.Invalid("caps", "has %d patterns; at most %d are allowed", len(raw), MaxCapsPatterns)
	}
	patterns := make([]string, 0, len(raw))
	for p := range raw {
		patterns = append(patterns, p)
	}
	sort.Strings(patterns)
	var c Caps
	for _, p := range patterns {
		g, err := parsePattern(p, user)
		if err != nil {
			return Caps{}, err
		}
		if g.actions, err = parseActions(p, raw[p]); err != nil {
			return Caps{}, err
		}
		if g.actions != 0 {
			c.grants = append(c.grants, g)
		}
	}
	return c, nil
}

// parsePattern reads one pattern. The grant that it returns has no actions yet.
func parsePattern(raw, user string) (grant, error) {
	field := capsField(raw)
	if reason := patternFault(raw, user); reason != "" {
		return grant{}, &errs.FieldError{Field: field, Reason: reason}
	}
	text, prefix := strings.CutSuffix(raw, "*")
	// {sub} is replaced after the final * was cut, so that a * in the user's id stays literal.
	g := grant{text: strings.ReplaceAll(text, subVariable, user), prefix: prefix, display: raw}
	if !strings.Contains(g.text, "*") && !strings.Contains(g.text, subVariable) {
		g.display = g.text + raw[len(text):]
	}
	return g, nil
}

// patternFault says what is wrong with a pattern, or returns "".
func patternFault(raw, user string) string {
	star := strings.IndexByte(raw, '*')
	switch {
	case raw == "":
		return "the pattern is empty; use \"*\" for every topic"
	case len(raw) > MaxCapsPattern:
		return fmt.Sprintf("the pattern has %d bytes; at most %d are allowed", len(raw), MaxCapsPattern)
	case !utf8.ValidString(raw):
		return "the pattern is not valid UTF-8"
	case strings.IndexFunc(raw, unicode.IsControl) >= 0:
		return "the pattern holds a control character"
	case star >= 0 && star != len(raw)-1:
		return "a * may only be the pattern's last character"
	case strings.HasSuffix(raw, subVariable+"*"):
		return "{sub}* would also match longer user ids; use {sub}, or {sub}:*"
	case user == "" && strings.Contains(raw, subVariable):
		return "{sub} needs a user"
	}
	return ""
}

// capsField names a pattern in an error. It cuts a long one, since the pattern comes from outside.
func capsField(pattern string) string {
	const shown = 64
	if len(pattern) > shown {
		pattern = strings.ToValidUTF8(pattern[:shown], "") + "…"
	}
	return fmt.Sprintf("caps[%q]", pattern)
}

// Allows reports whether a is allowed on topic. ActionAdmin on a matching pattern implies every action there, and
// ActionAll is allowed where ActionAdmin is. An unknown action is allowed nowhere. It does not allocate.
func (c Caps) Allows(topic string, a Action) bool {
	need := a.bit()
	for i := range c.grants {
		if g := &c.grants[i]; g.actions.allows(need) && g.matches(topic) {
			return true
		}
	}
	return false
}

// Names reports whether a pattern without a * allows a on topic.
func (c Caps) Names(topic string, a Action) bool {
	need := a.bit()
	for i := range c.grants {
		if g := &c.grants[i]; !g.prefix && g.actions.allows(need) && g.matches(topic) {
			return true
		}
	}
	return false
}

// Lists reports whether a pattern that matches topic lists a by its name, and not as part of ActionAll or ActionAdmin.
func (c Caps) Lists(topic string, a Action) bool {
	need := a.bit()
	for i := range c.grants {
		if g := &c.grants[i]; g.actions&need != 0 && g.actions != bitsAll && g.matches(topic) {
			return true
		}
	}
	return false
}

// AllowsAny reports whether any pattern allows a, whatever topics it matches.
func (c Caps) AllowsAny(a Action) bool {
	need := a.bit()
	for i := range c.grants {
		if c.grants[i].actions.allows(need) {
			return true
		}
	}
	return false
}

// Admin reports whether everything is allowed everywhere: ActionAdmin on the pattern "*".
func (c Caps) Admin() bool {
	for i := range c.grants {
		if g := &c.grants[i]; g.prefix && g.text == "" && g.actions.allows(bitAdmin) {
			return true
		}
	}
	return false
}

// Map returns the capabilities for display, in ParseCaps's form and with {sub} replaced. ParseCaps gives an equal set
// for it and the same user; therefore {sub} is not replaced where the user's id contains a * or {sub}.
func (c Caps) Map() map[string][]string {
	m := make(map[string][]string, len(c.grants))
	for _, g := range c.grants {
		m[g.display] = (g.actions | knownActions(m[g.display])).names()
	}
	return m
}

// MarshalJSON encodes what Map returns.
func (c Caps) MarshalJSON() ([]byte, error) { return json.Marshal(c.Map()) }

func (g *grant) matches(topic string) bool {
	if g.prefix {
		return strings.HasPrefix(topic, g.text)
	}
	return topic == g.text
}
