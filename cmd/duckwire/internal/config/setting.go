package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub/nearest"
)

// Setting is one field of a Config, as its tags describe it. All sources set it with set, as text.
type Setting struct {
	key, Default, help, unset, min, max, oneof, group string
	Secret                                            bool
	field                                             reflect.Value
}

// Settings are all settings of one Config, in the order of its fields.
type Settings []*Setting

// SettingsOf returns the settings of c. Setting one changes c.
func SettingsOf(c *Config) Settings { return settingsOf(reflect.ValueOf(c).Elem()) }

// settingsOf returns the settings of a struct whose exported fields have the tags of Config's.
func settingsOf(v reflect.Value) Settings {
	var set Settings
	group := ""
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		tag := v.Type().Field(i).Tag
		if g := tag.Get("group"); g != "" {
			group = g
		}
		set = append(set, &Setting{
			key: tag.Get("key"), Default: tag.Get("default"), help: tag.Get("help"), unset: tag.Get("unset"),
			min: tag.Get("min"), max: tag.Get("max"), oneof: tag.Get("oneof"), group: group,
			Secret: tag.Get("secret") != "", field: v.Field(i),
		})
	}
	return set
}

func (s *Setting) env() string  { return EnvPrefix + strings.ToUpper(s.key) }
func (s *Setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }
func (s *Setting) name() string { return s.key }

// ByKey returns the setting with this name in YAML, or nil.
func (set Settings) ByKey(key string) *Setting {
	for _, s := range set {
		if s.key == key {
			return s
		}
	}
	return nil
}

// ByEnv returns the setting with this name in the environment, or nil.
func (set Settings) ByEnv(name string) *Setting {
	for _, s := range set {
		if s.env() == name {
			return s
		}
	}
	return nil
}

// suggest returns "; did you mean X?" with the most similar name, or where all names are listed.
func (set Settings) suggest(unknown string, name func(*Setting) string) string {
	meant := nearest.Name(unknown, func(yield func(string) bool) {
		for _, s := range set {
			if !yield(name(s)) {
				return
			}
		}
	})
	if meant == "" {
		return "; 'duckwire serve --help' lists them all"
	}
	return "; did you mean " + meant + "?"
}

// set parses text, checks the bounds, and stores the value. The error contains key, value and limit.
func (s *Setting) set(text string) error {
	if s.key != "jwt_public_key" { // a PEM text may end in a line feed
		text = strings.TrimSpace(text)
	}
	v, err := parseSetting(s.field.Type(), text)
	if err != nil {
		return fmt.Errorf("%s: %s %w", s.key, s.quote(text), err)
	}
	if err := s.bounds(v); err != nil {
		return fmt.Errorf("%s: %s %w", s.key, s.quote(text), err)
	}
	s.field.Set(v)
	return nil
}

func (s *Setting) quote(text string) string {
	if s.Secret {
		return "the value"
	}
	return strconv.Quote(text)
}

// bounds checks v against the tags min, max and oneof.
func (s *Setting) bounds(v reflect.Value) error {
	if s.oneof != "" && !slices.Contains(strings.Split(s.oneof, "|"), v.String()) {
		return errors.New("must be one of " + strings.ReplaceAll(s.oneof, "|", ", "))
	}
	if s.min != "" {
		if least, err := parseSetting(v.Type(), s.min); err != nil || v.Int() < least.Int() {
			return errors.New("is too little; the least is " + s.min)
		}
	}
	if s.max != "" {
		if most, err := parseSetting(v.Type(), s.max); err != nil || v.Int() > most.Int() {
			return errors.New("is too much; the most is " + s.max)
		}
	}
	return nil
}

// parseSetting parses text as a value of type t.
func parseSetting(t reflect.Type, text string) (reflect.Value, error) {
	switch reflect.Zero(t).Interface().(type) {
	case string:
		return reflect.ValueOf(text), nil
	case []string:
		return reflect.ValueOf(splitList(text)), nil
	case []Upstream:
		if text == "" {
			return reflect.Zero(t), nil
		}
		return reflect.Zero(t), errors.New("can only be set in duckwire.yaml, as a list")
	case bool:
		b, err := strconv.ParseBool(text)
		return reflect.ValueOf(b), or(err, "must be true or false")
	case int:
		n, err := strconv.Atoi(text)
		return reflect.ValueOf(n), or(err, "must be a whole number")
	case Size:
		n, err := ParseSize(text)
		return reflect.ValueOf(n), err
	case time.Duration:
		d, err := time.ParseDuration(text)
		return reflect.ValueOf(d), or(err, `must be a time with its unit, such as "10s" or "1h30m"`)
	}
	panic("no text form for " + t.String())
}

func or(err error, text string) error {
	if err == nil {
		return nil
	}
	return errors.New(text)
}

// splitList splits a text at commas and line breaks.
func splitList(text string) []string {
	var list []string
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// upstreams returns the field if it is a list of upstreams; nil: it is of another type.
func (s *Setting) upstreams() *[]Upstream {
	list, _ := s.field.Addr().Interface().(*[]Upstream)
	return list
}

// show returns the value in the form that set parses, masked if it is secret.
func (s *Setting) show() string {
	if s.field.IsZero() && s.Default == "" {
		return ""
	}
	if list := s.upstreams(); list != nil {
		return showUpstreams(*list)
	}
	if s.Secret {
		return "(set, hidden)"
	}
	switch v := s.field.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case time.Duration:
		return ShowDuration(v)
	default:
		return fmt.Sprint(v)
	}
}

// ShowDuration returns d as text without the zero units that Duration.String writes: "1h", not "1h0m0s".
func ShowDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
