package main

import (
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
