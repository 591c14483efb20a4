package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/storage/sqlite"
)

func newBackupCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database, while the server runs or not",
		Long: `Copy the database of a data folder into FILE, as it is at one moment. The server may run meanwhile, and is not
held up. FILE must not exist yet; it is there only when the copy is whole and on disk.

To restore: stop the server, put FILE in the place of duckwire.db in the data folder, remove duckwire.db-wal and
duckwire.db-shm there, and start the server. It sees that it has a copy before it, and gives its queues a new epoch:
readers who knew more than the copy are told to begin anew, instead of being given other messages under positions that
they have seen.`,
		Example: `  duckwire backup --data-dir /var/lib/duckwire /backup/duckwire-$(date +%F).db`,
		Args:    cobra.ExactArgs(1),
	}
	flags := config.AddFlags(cmd, "data_dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := flags.Load()
		if err != nil {
			return err
		}
		if err := sqlite.Backup(cmd.Context(), cfg.DataDir, args[0]); err != nil {
			return err
		}
		info, err := os.Stat(args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], config.Size(info.Size()))
		return err
	}
	return cmd
}
