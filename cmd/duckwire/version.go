package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/middleware/tracing"
)

// version is set by the linker in releases: -ldflags "-X main.version=v1.2.3".
var version = ""

// buildVersion returns the version and, if it is known, the commit.
func buildVersion() string {
	v, commit := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			// Go's own version may already name the commit.
			if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
				commit = " (" + s.Value[:12] + ")"
			}
		}
	}
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	return v + commit
}

func newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			with := ""
			if tracing.Built != "" {
				with = " with " + tracing.Built
			}
			fmt.Fprintf(cmd.OutOrStdout(), "duckwire %s %s %s/%s%s\n",
				buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, with)
		},
	}
}
