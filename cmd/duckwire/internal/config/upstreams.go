package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/duckwire/duckwire/handlers"
	"github.com/duckwire/duckwire/hub/provider/pool"
)

// Upstream is an entry of the setting upstreams. The tags are those of Config. Dialect and FIM have the defaults and
// the allowed values of upstream_dialect and upstream_fim.
type Upstream struct {
	Name    string   `key:"name"`
	URL     string   `key:"url"`
	Key     string   `key:"key" secret:"true"` // after Load also that of KeyEnv
	KeyEnv  string   `key:"key_env"`           // the environment variable that has the key; "": none
	Model   string   `key:"model"`
	Models  []string `key:"models"` // patterns (pool.Member.Models)
	Dialect string   `key:"dialect"`
	FIM     string   `key:"fim"`

	where string // "duckwire.yaml:3"
}

// UpstreamList returns the upstreams in their order: those of the setting upstreams, or else the one of upstream_url,
// which is called "upstream". None: the built-in completer answers.
func (c *Config) UpstreamList() []Upstream {
	if len(c.Upstreams) > 0 || c.UpstreamURL == "" {
		return c.Upstreams
	}
	return []Upstream{{
		Name: "upstream", URL: c.UpstreamURL, Key: c.UpstreamKey, Model: c.UpstreamModel, Dialect: c.UpstreamDialect,
		FIM: c.UpstreamFIM,
	}}
}

// readUpstreams reads a YAML list of mappings.
func readUpstreams(n *yaml.Node, name string, faults *faults) []Upstream {
	if n = target(n); n.Kind != yaml.SequenceNode {
		faults.add("", fmt.Errorf("%s:%d: upstreams must be a list: lines of the form '- name: …'", name, n.Line))
		return nil
	}
	list := make([]Upstream, len(n.Content))
	for i, item := range n.Content {
		u := &list[i]
		u.where = fmt.Sprintf("%s:%d", name, item.Line)
		readMapping(target(item), settingsOf(reflect.ValueOf(u).Elem()), map[string]string{}, name, faults)
	}
	return list
}

func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// readKeys sets the keys that the environment has.
func readKeys(list []Upstream, environ []string, faults *faults) {
	for i := range list {
		u := &list[i]
		if u.KeyEnv == "" {
			continue
		}
		if u.Key != "" {
			faults.add(u.where, errors.New("upstreams: give key or key_env, not both"))
			continue
		}
		if u.Key = lookupEnv(environ, u.KeyEnv); u.Key == "" {
			faults.add(u.where, fmt.Errorf("upstreams: key_env: the environment has no %s", u.KeyEnv))
		}
	}
}

var upstreamName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// checkUpstreams checks the list, and sets the defaults of its entries.
func checkUpstreams(l *Loaded, set Settings, faults *faults) {
	if len(l.Upstreams) == 0 {
		return
	}
	for _, key := range []string{"upstream_url", "upstream_key", "upstream_model", "upstream_dialect", "upstream_fim"} {
		if s := set.ByKey(key); s.field.String() != s.Default {
			faults.add(l.From[key], fmt.Errorf("%s: cannot be given beside upstreams; move it into that list", key))
		}
	}
	names := map[string]bool{}
	for i := range l.Upstreams {
		u := &l.Upstreams[i]
		u.Dialect, u.FIM = cmp.Or(u.Dialect, l.UpstreamDialect), cmp.Or(u.FIM, l.UpstreamFIM)
		if !upstreamName.MatchString(u.Name) {
			faults.add(u.where, fmt.Errorf("upstreams: name: %q must be 1 to 64 letters, digits, or . _ -", u.Name))
		}
		if names[u.Name] {
			faults.add(u.where, fmt.Errorf("upstreams: name: %q is there twice", u.Name))
		}
		names[u.Name] = true
		u.check(set, faults)
	}
}

func (u *Upstream) check(set Settings, faults *faults) {
	if u.URL == "" {
		faults.add(u.where, errors.New("upstreams: url: is missing"))
	}
	for _, c := range []struct {
		key string
		err error
	}{
		{"url", checkUpstream(u.URL)},
		{"dialect", set.ByKey("upstream_dialect").bounds(reflect.ValueOf(u.Dialect))},
		{"fim", set.ByKey("upstream_fim").bounds(reflect.ValueOf(u.FIM))},
	} {
		if c.err != nil {
			faults.add(u.where, fmt.Errorf("upstreams: %s: %w", c.key, c.err))
		}
	}
	for _, pattern := range u.Models {
		if err := pool.ValidPattern(pattern); err != nil {
			faults.add(u.where, fmt.Errorf("upstreams: models: %w", err))
		}
	}
}

var upstreamPath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)

func checkUpstreamPaths(paths []string) error {
	for i, path := range paths {
		if !upstreamPath.MatchString(path) {
			return fmt.Errorf("%q must be a path below /v1, such as embeddings or audio/speech", path)
		}
		if handlers.IsOwnPath(path) {
			return fmt.Errorf("%q is a path of this server's own", path)
		}
		if slices.Contains(paths[:i], path) {
			return fmt.Errorf("%q is there twice", path)
		}
	}
	return nil
}

// showUpstreams returns the list as YAML on one line, without keys.
func showUpstreams(list []Upstream) string {
	shown := make([]string, len(list))
	for i := range list {
		var members []string
		for _, s := range settingsOf(reflect.ValueOf(&list[i]).Elem()) {
			if s.field.IsZero() || s.Secret {
				continue
			}
			members = append(members, s.key+": "+flowYAML(s.field.Interface()))
		}
		shown[i] = "{" + strings.Join(members, ", ") + "}"
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

// flowYAML returns a text, or a list of texts, as YAML on one line.
func flowYAML(v any) string {
	list, ok := v.([]string)
	if !ok {
		return strconv.Quote(fmt.Sprint(v))
	}
	quoted := make([]string, len(list))
	for i, text := range list {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
