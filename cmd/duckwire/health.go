package main

import (
	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/doctor"
)

func newHealthCmd() *cobra.Command {
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the server on this machine whether it answers",
		Long: `Ask the server that this configuration starts, at its own address on this machine, whether it answers: exit
code 0 or 1. This is the health check of the container, which has no shell. With --ready it also asks whether the server
wants work: not while it drains, nor while what its answers depend on is missing.`,
		Example: `  duckwire health
  duckwire health --ready --addr 127.0.0.1:4001`,
		Args: cobra.NoArgs,
	}
	flags := config.AddFlags(cmd, "addr")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it wants work, too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := flags.Load()
		if err != nil {
			return err
		}
		return doctor.Health(cmd.Context(), cfg.Addr, cfg.TLSCert != "", ready)
	}
	return cmd
}
