package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Environment variables that are not settings. Those that begin with OTEL_ are read by package tracing.
const (
	EnvPrefix = "DUCKWIRE_"       // of all of ours
	EnvURL    = "DUCKWIRE_URL"    // for client commands
	EnvToken  = "DUCKWIRE_TOKEN"  // for client commands
	envConfig = "DUCKWIRE_CONFIG" // path of the YAML file
)

// readEnviron applies the DUCKWIRE_… variables. An empty variable counts as not set.
func readEnviron(l *Loaded, set Settings, environ []string, faults *faults) {
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == EnvURL || name == EnvToken || name == envConfig || text == "" {
			continue
		}
		if slices.ContainsFunc(l.Upstreams, func(u Upstream) bool { return u.KeyEnv == name }) {
			continue
		}
		s := set.ByEnv(name)
		if s == nil {
			faults.add("", fmt.Errorf("%s is no setting%s", name, set.suggest(name, (*Setting).env)))
			continue
		}
		l.From[s.key] = name
		faults.add(name, s.set(text))
	}
}

// lookupEnv returns the value of a variable in environ, or "".
func lookupEnv(environ []string, name string) string {
	for _, pair := range environ {
		if k, v, _ := strings.Cut(pair, "="); k == name {
			return v
		}
	}
	return ""
}

// Environ returns the process's environment.
func Environ() []string { return os.Environ() }

// ServerURL returns the URL of the server that client commands use, or "".
func ServerURL() string { return os.Getenv(EnvURL) }

// ServerToken returns the token of client commands, or "".
func ServerToken() string { return os.Getenv(EnvToken) }

// ForeignEnviron returns the environment without our variables, for programs that must not see the token and the
// settings.
func ForeignEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, EnvPrefix) })
}
