package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML applies the text of a YAML file: one mapping of keys to scalars, or to lists of scalars; and the list of
// upstreams, which are such mappings themselves. It reads nodes instead of a struct, so that an error can name the line
// and the most similar key.
func readYAML(l *Loaded, set Settings, path string, text []byte, faults *faults) {
	name := filepath.Base(path)
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		faults.add("", fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: ")))
		return
	}
	if doc.Kind == 0 || doc.Content[0].Tag == "!!null" { // an empty file, or only comments
		return
	}
	readMapping(doc.Content[0], set, l.From, name, faults)
}

// readMapping applies a mapping of the file with this name to the settings. from gets the line of each key.
func readMapping(root *yaml.Node, set Settings, from map[string]string, name string, faults *faults) {
	if root.Kind != yaml.MappingNode {
		faults.add("", fmt.Errorf("%s:%d: must be lines of the form 'key: value'", name, root.Line))
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("%s:%d", name, key.Line)
		s := set.ByKey(key.Value)
		if s == nil {
			faults.add("", fmt.Errorf("%s: %s is no setting%s", where, key.Value, set.suggest(key.Value, (*Setting).name)))
			continue
		}
		if strings.HasPrefix(from[s.key], name+":") {
			faults.add(where, fmt.Errorf("%s: is set twice", s.key))
			continue
		}
		from[s.key] = where
		if list := s.upstreams(); list != nil && value.Kind != yaml.ScalarNode {
			*list = readUpstreams(value, name, faults)
			continue
		}
		faults.add(where, s.setNode(value))
	}
}

// setNode sets the field to a YAML value.
func (s *Setting) setNode(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	_, list := s.field.Interface().([]string)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil // "key:" alone leaves the default
	case n.Kind == yaml.ScalarNode:
		return s.set(n.Value)
	case n.Kind == yaml.SequenceNode && list:
		var items []string
		if err := n.Decode(&items); err != nil {
			return errors.New(s.key + ": must be a list of texts")
		}
		return s.set(strings.Join(items, ","))
	case list:
		return errors.New(s.key + ": must be a text or a list of texts")
	default:
		return errors.New(s.key + ": must be a single value")
	}
}
