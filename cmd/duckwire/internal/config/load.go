package config

import (
	"fmt"
	"os"
	"strings"
)

// Loaded is a configuration together with the source of each setting.
type Loaded struct {
	Config
	File string            // that was read; "": none
	From map[string]string // key → "default", "duckwire.yaml:3", "DUCKWIRE_ADDR", "--addr"
}

// SecretsInFile reports whether a secret is set in the file.
func (l *Loaded) SecretsInFile() bool {
	for _, u := range l.Upstreams {
		if u.Key != "" && u.KeyEnv == "" {
			return true
		}
	}
	for _, s := range SettingsOf(&l.Config) {
		if s.upstreams() != nil {
			continue
		}
		if s.Secret && strings.Contains(l.From[s.key], ":") { // a line of the file, "duckwire.yaml:3"
			return true
		}
	}
	return false
}

// Sources are what settings are read from, in ascending order of precedence: file, environment, flags.
type Sources struct {
	File    string            // path of the YAML file; "": duckwire.yaml, if there is one
	Environ []string          // as os.Environ gives it
	Flags   map[string]string // key → text
}

// Load applies the sources to the defaults. Its error lists every fault on a line of its own.
func Load(src Sources) (*Loaded, error) {
	l := &Loaded{From: map[string]string{}}
	set := SettingsOf(&l.Config)
	var faults faults
	for _, s := range set {
		l.From[s.key] = "default"
		if s.Default != "" {
			faults.add("default", s.set(s.Default))
		}
	}
	readFile(l, set, src, &faults)
	readEnviron(l, set, src.Environ, &faults)
	for _, s := range set {
		if text, ok := src.Flags[s.key]; ok {
			l.From[s.key] = "--" + s.flag()
			faults.add(l.From[s.key], s.set(text))
		}
	}
	readKeys(l.Upstreams, src.Environ, &faults)
	if len(faults) == 0 {
		checkAll(l, set, &faults)
	}
	return l, faults.err()
}

// defaultFile is read if no file is named and it exists.
const defaultFile = "duckwire.yaml"

// readFile applies the YAML file.
func readFile(l *Loaded, set Settings, src Sources, faults *faults) {
	path, named := src.File, true
	if path == "" {
		path = lookupEnv(src.Environ, envConfig)
	}
	if path == "" {
		path, named = defaultFile, false
	}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) && !named {
		return
	}
	if err != nil {
		faults.add("", fmt.Errorf("the configuration file cannot be read: %w", err))
		return
	}
	l.File = path
	readYAML(l, set, path, text, faults)
}
