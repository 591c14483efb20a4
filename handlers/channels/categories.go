package channels

import (
	"encoding/json"
	"fmt"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// categorySet is a set of categories of status updates, one bit each.
type categorySet uint32

// available are the categories, in the order of their bits. "warning", which only RubberDuck's tests use, is accepted
// too, but not listed.
var available = []string{"engine", "tool", "workflow", "progress", "error", "info", "planning"}

const (
	warning       categorySet = 1 << 7
	allCategories categorySet = 1<<8 - 1
	maxCategories             = 10 // maximum in one list
)

var descriptions = map[string]string{
	"engine":   "What the engine that answers is doing",
	"tool":     "Calls of tools and their results",
	"workflow": "Steps of workflows",
	"progress": "How far the work has come",
	"error":    "What went wrong",
	"info":     "General information",
	"planning": "Plans being made and checked",
}

// categoryOf returns the set of one category; empty for an unknown one.
func categoryOf(name string) categorySet {
	if name == "warning" {
		return warning
	}
	for i, known := range available {
		if name == known {
			return 1 << i
		}
	}
	return 0
}

// names returns the names in the set; never nil.
func (s categorySet) names() []string {
	list := []string{}
	for i, name := range available {
		if s&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	if s&warning != 0 {
		list = append(list, "warning")
	}
	return list
}

// readCategories parses a client's list. tellValid makes a refusal list the valid names.
func readCategories(raw json.RawMessage, tellValid bool) (set categorySet, err error) {
	var list []json.RawMessage
	if jsonw.IsNull(raw) || json.Unmarshal(raw, &list) != nil {
		return 0, invalidCategories("categories must be a list", tellValid)
	}
	if len(list) > maxCategories {
		return 0, &socket.Refusal{Response: map[string]any{
			"reason": "too_many_categories", "current_count": len(list),
			"message": fmt.Sprintf("at most %d categories may be named", maxCategories),
		}}
	}
	var invalid []json.RawMessage
	for _, raw := range list {
		name, _ := jsonw.String(raw)
		one := categoryOf(name)
		if one == 0 {
			invalid = append(invalid, raw)
		}
		set |= one
	}
	if invalid != nil {
		return 0, invalidCategories(invalid, tellValid)
	}
	return set, nil
}

func invalidCategories(invalid any, tellValid bool) error {
	response := map[string]any{"reason": "invalid_categories", "invalid": invalid}
	if tellValid {
		response["valid"] = available
	}
	return &socket.Refusal{Response: response}
}
