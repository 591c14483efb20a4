package main

import (
	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

func newConfigCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration that holds, and where each setting came from",
		Long: `Print the configuration that 'duckwire serve' would have here, and where each setting came from.
Secrets are hidden. The first two columns are valid YAML.

` + config.Help(),
		Example: `  duckwire config
  duckwire config --config /etc/duckwire.yaml
  DUCKWIRE_QUEUE_MAX=50 duckwire config | grep queue`,
		Args: cobra.NoArgs,
	}
	flags := config.AddFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := flags.Load()
		if err != nil {
			return err
		}
		return config.Print(cmd.OutOrStdout(), loaded)
	}
	return cmd
}
