package config

import (
	"fmt"
	"io"
	"strings"
)

// Print writes a line for each setting: key, value, and the source as a comment.
func Print(w io.Writer, l *Loaded) error {
	for _, s := range SettingsOf(&l.Config) {
		value, from := s.show(), l.From[s.key]
		switch {
		case s.upstreams() != nil && value != "":
			from = "keys are hidden; from " + from
		case s.Secret && value != "":
			value, from = `""`, "hidden; from "+from // a mask could be mistaken for the secret
		default:
			value = yamlText(value)
		}
		if _, err := fmt.Fprintf(w, "%-29s %-24s # %s\n", s.key+":", value, from); err != nil {
			return err
		}
	}
	return nil
}

// yamlText quotes s if YAML would not parse it as the same text.
func yamlText(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./:_-", r)) {
			return fmt.Sprintf("%q", s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
