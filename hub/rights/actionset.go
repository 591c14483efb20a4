package rights

import (
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
)

// actionSet is a set of actions, one bit each.
type actionSet uint8

const (
	bitAct   actionSet = 1 << 6
	bitAdmin actionSet = 1 << 7
	bitsAll  actionSet = 1<<8 - 1
)

// actionBits lists the actions in the order of their bits.
var actionBits = [...]Action{
	ActionSubscribe, ActionPublish, ActionPresence, ActionComplete, ActionProduce, ActionQueue, ActionAct,
	ActionAdmin,
}

// bit returns the action's bit. To do ActionAll, one needs ActionAdmin. An unknown action has no bit.
func (a Action) bit() actionSet {
	switch a {
	case ActionSubscribe:
		return 1 << 0
	case ActionPublish:
		return 1 << 1
	case ActionPresence:
		return 1 << 2
	case ActionComplete:
		return 1 << 3
	case ActionProduce:
		return 1 << 4
	case ActionQueue:
		return 1 << 5
	case ActionAct:
		return bitAct
	case ActionAdmin, ActionAll:
		return bitAdmin
	}
	return 0
}

// allows reports whether the set contains need, or admin, which implies every action. An empty need, that of an unknown
// action, is never allowed.
func (s actionSet) allows(need actionSet) bool {
	return need != 0 && s&(need|bitAdmin) != 0
}

// names lists the set's actions by name, as parseActions reads them. The full set is "*".
func (s actionSet) names() []string {
	if s == bitsAll {
		return []string{string(ActionAll)}
	}
	var names []string
	for i, a := range actionBits {
		if s&(1<<i) != 0 {
			names = append(names, string(a))
		}
	}
	return names
}

// parseActions reads the actions that a capability lists for a pattern. An action may be listed more than once.
func parseActions(pattern string, list []string) (actionSet, error) {
	if len(list) > MaxCapsActions {
		return 0, errs.Invalid(capsField(pattern),
			"lists %d actions; at most %d are allowed", len(list), MaxCapsActions)
	}
	var s actionSet
	for i, name := range list {
		bits := knownActions(list[i : i+1])
		if bits == 0 {
			field := fmt.Sprintf("%s[%d]", capsField(pattern), i)
			return 0, errs.Invalid(field, "%.40q is no action; there are %s, *", name, joinActions())
		}
		s |= bits
	}
	return s, nil
}

// knownActions returns the set of the named actions. It ignores unknown names.
func knownActions(list []string) (s actionSet) {
	for _, name := range list {
		if Action(name) == ActionAll {
			s |= bitsAll
		}
		s |= Action(name).bit()
	}
	return s
}

func joinActions() string {
	names := make([]string, len(actionBits))
	for i, a := range actionBits {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}
