package pool

import (
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub"
)

const maxPattern = 256

// ValidPattern checks a pattern of Member.Models: a name, or one with * at its beginning, its end, or both.
func ValidPattern(pattern string) error {
	switch {
	case pattern == "" || len(pattern) > maxPattern:
		return fmt.Errorf("%q must have 1 to %d bytes", pattern, maxPattern)
	case strings.Contains(strings.TrimSuffix(strings.TrimPrefix(pattern, "*"), "*"), "*"):
		return fmt.Errorf("%q may have * at its beginning or end only", pattern)
	}
	return nil
}

func matches(pattern, model string) bool {
	rest, open := strings.CutPrefix(pattern, "*")
	rest, cut := strings.CutSuffix(rest, "*")
	switch {
	case open && cut:
		return strings.Contains(model, rest)
	case open:
		return strings.HasSuffix(model, rest)
	case cut:
		return strings.HasPrefix(model, rest)
	}
	return model == pattern
}

// serves reports whether the member serves a model by its name.
func (m *member) serves(model string) bool {
	if len(m.Models) == 0 || model == m.Model {
		return true
	}
	for _, pattern := range m.Models {
		if matches(pattern, model) {
			return true
		}
	}
	return false
}

// serving returns the members that serve a model, in order. A request that names none goes to those that have a model
// of their own, or else to those that serve every model.
func (p *Pool) serving(model string) []*member {
	none := hub.NamesNoModel(model)
	var list []*member
	for _, m := range p.members {
		if none && m.Model != "" || !none && m.serves(model) {
			list = append(list, m)
		}
	}
	if none && list == nil {
		for _, m := range p.members {
			if len(m.Models) == 0 {
				list = append(list, m)
			}
		}
	}
	return list
}
