package openai

import (
	"bytes"
	"strconv"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// list is an array that is built from pieces.
type list struct {
	of       elements
	elements []*value       // in order of arrival
	byIndex  map[int]*value // the latest element of each index
	byID     map[string]*value
}

// elements says which pieces belong to the same element.
type elements uint8

const (
	anything elements = iota // those of the same index; a piece without an index is an element of its own
	calls                    // tool calls: see list.call
	parts                    // parts of a message's content: see list.part
)

// add adds one element, or a piece of one.
func (l *list) add(raw []byte, depth int) {
	e := (*value)(nil)
	index, indexed := indexOf(raw)
	switch {
	case raw[0] != '{':
	case l.of == calls:
		e = l.call(raw, index, indexed)
	case l.of == parts && !indexed:
		l.part(raw, depth)
		return
	case indexed:
		e = l.byIndex[index]
	}
	if e == nil {
		e = l.begin(raw)
	}
	if id := stringOf(raw, "id"); l.of == calls && len(id) > 0 {
		if l.byID == nil {
			l.byID = make(map[string]*value)
		}
		l.byID[string(id)] = e
	}
	if indexed && raw[0] == '{' {
		if l.byIndex == nil {
			l.byIndex = make(map[int]*value)
		}
		l.byIndex[index] = e
	}
	e.add(raw, depth)
	e.object.drop("index") // only pieces have an index, not complete elements
}

// begin appends a new element.
func (l *list) begin(raw []byte) *value {
	e := &value{}
	if raw[0] == '{' {
		e.kind = '{'
	}
	l.elements = append(l.elements, e)
	return e
}

// call returns the tool call that a piece belongs to: that of its id or index, or without either the last one. A piece
// with another id or, without ids, with another function's name begins a new call; then it returns nil.
func (l *list) call(raw []byte, index int, indexed bool) *value {
	id := stringOf(raw, "id")
	if known := l.byID[string(id)]; known != nil {
		return known
	}
	e := l.byIndex[index]
	if !indexed && len(l.elements) > 0 {
		e = l.elements[len(l.elements)-1]
	}
	if e == nil || e.kind != '{' {
		return nil
	}
	if len(id) > 0 && len(e.object.string("id")) > 0 { // another one: see above
		return nil
	}
	if f := e.object.values["function"]; len(id) == 0 && !indexed && f != nil {
		name, had := stringOf(jsonw.Member(raw, "function"), "name"), f.object.string("name")
		if len(name) > 0 && len(had) > 0 && !bytes.Equal(name, had) {
			return nil
		}
	}
	return e
}

// part adds a part of a message's content. Text continues the last part if that is of the same type.
func (l *list) part(raw []byte, depth int) {
	kind := stringOf(raw, "type")
	if n := len(l.elements); n > 0 && isText(kind) && bytes.Equal(l.elements[n-1].object.string("type"), kind) {
		l.elements[n-1].addPart(raw, depth)
		return
	}
	l.begin(raw).addPart(raw, depth)
}

// addPart is add for a part, whose arrays are parts, too: thinking is an array of text.
func (v *value) addPart(raw []byte, depth int) {
	for name, member := range jsonw.Members(raw) {
		if member[0] == '[' && v.object.at(name) == nil {
			v.object.set(name, &value{kind: '[', list: list{of: parts}})
		}
		v.object.add(name, member, depth+1)
	}
}

// isText reports whether parts of a type are pieces of one text.
func isText(kind []byte) bool {
	switch string(kind) {
	case "text", "thinking", "reasoning", "output_text", "summary_text", "refusal":
		return true
	}
	return false
}

func (l *list) append(dst []byte) []byte {
	dst = append(dst, '[')
	for i, e := range l.elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.append(dst)
	}
	return append(dst, ']')
}

// indexOf returns the member "index" of an object; ok is false if there is none.
func indexOf(object []byte) (index int, ok bool) {
	if value := jsonw.Member(object, "index"); !jsonw.IsNull(value) {
		index, _ = strconv.Atoi(string(value)) // 0 for what is no number
		return index, true
	}
	return 0, false
}

// stringOf returns a string member of an object as JSON without quotes, or nil.
func stringOf(object []byte, name string) []byte {
	if value := jsonw.Member(object, name); len(value) > 0 && value[0] == '"' {
		return unquoted(value)
	}
	return nil
}
