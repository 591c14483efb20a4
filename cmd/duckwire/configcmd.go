package main

import (
	"fmt"
	"io"
	"text/tabwriter"

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
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range settingsOf(&l.Config) {
		value := s.show()
		if s.secret && value != "" {
			value = `""` // what stands there must not be taken for the secret
			fmt.Fprintf(t, "%s:\t%s\t# hidden; from %s\n", s.key, value, l.From[s.key])
			continue
		}
		fmt.Fprintf(t, "%s:\t%s\t# %s\n", s.key, yamlText(value), l.From[s.key])
	}
	return t.Flush()
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
