package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Flags are the flags of a command that reads the server's configuration.
type Flags struct {
	file string
	text map[string]*settingFlag
}

// settingFlag is a flag that stores its text. Load parses the text, as it parses the text of the other sources.
type settingFlag struct {
	text string
	set  bool
	kind string
}

func (f *settingFlag) String() string        { return f.text }
func (f *settingFlag) Type() string          { return f.kind }
func (f *settingFlag) Set(text string) error { f.text, f.set = text, true; return nil }

// AddFlags adds to cmd the flag --config and one flag for each setting that is not secret. Flags that are not named in
// shown are hidden in the list of flags; Help lists them.
func AddFlags(cmd *cobra.Command, shown ...string) *Flags {
	f := &Flags{text: map[string]*settingFlag{}}
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "",
		"YAML file of settings (default: duckwire.yaml in this folder, if there is one)")
	for _, s := range SettingsOf(&Config{}) {
		if s.Secret {
			continue
		}
		text := &settingFlag{kind: "value"}
		f.text[s.key] = text
		help := s.help
		if s.Default != "" && s.Default != "false" {
			help += " (default " + s.Default + ")"
		}
		flag := flags.VarPF(text, s.flag(), "", help)
		if _, isBool := s.field.Interface().(bool); isBool {
			flag.NoOptDefVal, text.kind = "true", "bool"
		}
		flag.Hidden = !slices.Contains(shown, s.key)
	}
	return f
}

// Load reads the configuration, including the flags of the command line.
func (f *Flags) Load() (*Loaded, error) {
	given := map[string]string{}
	for key, flag := range f.text {
		if flag.set {
			given[key] = flag.text
		}
	}
	return Load(Sources{File: f.file, Environ: Environ(), Flags: given})
}

// Help returns the list of all settings, for --help.
func Help() string {
	var b strings.Builder
	b.WriteString(`Settings: from a flag (--data-dir), else the environment (DUCKWIRE_DATA_DIR), else duckwire.yaml
(data_dir: …), else the default. Secrets are not taken from flags. 'duckwire config' shows what holds.
`)
	group := ""
	for _, s := range SettingsOf(&Config{}) {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&b, "\n%s\n", group)
		}
		fmt.Fprintf(&b, "  %-28s  %-14s  %s\n", s.key, s.defaultText(), s.helpText())
	}
	return b.String()
}

func (s *Setting) defaultText() string {
	if s.Default == "" {
		return "-"
	}
	return s.Default
}

func (s *Setting) helpText() string {
	help := s.help
	if s.oneof != "" {
		help += ": " + strings.ReplaceAll(s.oneof, "|", ", ")
	}
	if s.unset != "" {
		help += "; unset: " + s.unset
	}
	return help
}
