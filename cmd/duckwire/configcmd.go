package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newConfigCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration that holds, and where each setting came from",
		Long: `Print the configuration that 'duckwire serve' would have here, and where each setting came from.
Secrets are hidden. The first two columns are valid YAML.

` + settingsHelp(),
		Example: `  duckwire config
  duckwire config --config /etc/duckwire.yaml
  DUCKWIRE_QUEUE_MAX=50 duckwire config | grep queue`,
		Args: cobra.NoArgs,
	}
	flags := addConfigFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := flags.load()
		if err != nil {
			return err
		}
		return printConfig(cmd.OutOrStdout(), loaded)
	}
	return cmd
}

// printConfig writes one line a setting: key, value, and as a comment its source.
func printConfig(w io.Writer, l *Loaded) error {
	for _, s := range settingsOf(&l.Config) {
		value, from := s.show(), l.From[s.key]
		if s.secret && value != "" {
			value, from = "", "hidden; from "+from // whoever reads this back must not take a mask for the secret
		}
		if _, err := fmt.Fprintf(w, "%-29s %-24s # %s\n", s.key+":", yamlText(value), from); err != nil {
			return err
		}
	}
	return nil
}

// yamlText quotes what YAML would not read back as the same text.
func yamlText(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '/' || r == ':' || r == '_' || r == '-') {
			return fmt.Sprintf("%q", s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
