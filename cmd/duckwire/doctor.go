package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/doctor"
)

const doctorLong = `Look for what is wrong, and say what to do about it.

Without --url it examines what 'duckwire serve' would find here: the configuration and its secrets, certificate,
port, data folder and disk, clock, limits of files and memory, and the servers that it depends on (key set,
authorise URL, upstream, Redis). Run it as the user, and in the container or unit, that the server runs in.

With --url it examines a server that runs, from where its clients are, through all proxies on the way: WebSocket,
event stream, heartbeats, long-poll, resuming. It publishes a few events on a topic of its own, for which the
token needs subscribe and publish.

--deep also does what costs something: a completion of one token, and with --url waiting for proxies that cut
what is silent (--idle).

Exit codes: 0 all is fine, 1 there are warnings, 2 something is broken.`

// doctorFlags are the flags of doctor in addition to those of the configuration.
type doctorFlags struct {
	conn   *clientFlags
	config *config.Flags
	topic  string
	idle   time.Duration
	deep   bool
	asJSON bool
}

func newDoctorCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with an installation, and say what to do",
		Long:  doctorLong,
		Example: `  duckwire doctor --config /etc/duckwire.yaml
  duckwire doctor --deep
  duckwire doctor --url https://stream.example.com --token "$(duckwire token --user doctor --cap 'duckwire:doctor:*=subscribe,publish')"`,
		Args: cobra.NoArgs,
	}
	f := &doctorFlags{config: config.AddFlags(cmd, "addr", "data_dir"), conn: addClientFlags(cmd)}
	flags := cmd.Flags()
	flags.Lookup("url").Usage = "a server that runs, to be examined in place of this machine"
	flags.StringVar(&f.topic, "topic", "",
		"topic to publish on, with --url (default: one of its own under duckwire:doctor:)")
	flags.DurationVar(&f.idle, "idle", 75*time.Second, "how long to wait for cuts, with --url and --deep")
	flags.BoolVar(&f.deep, "deep", false, "also do what costs time or tokens")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report := &doctor.Report{}
		examine := f.examineHere
		if f.conn.url != "" {
			examine = f.examineThere
		}
		if err := examine(cmd.Context(), report); err != nil {
			return err
		}
		write := report.WriteText
		if f.asJSON {
			write = report.WriteJSON
		}
		if err := write(cmd.OutOrStdout()); err != nil {
			return err
		}
		return verdict(report)
	}
	return cmd
}

// verdict returns the exit code for a report that was printed.
func verdict(r *doctor.Report) error {
	switch r.Level() {
	case doctor.Broken:
		return codeError{errors.New(""), 2}
	case doctor.Warning:
		return codeError{errors.New(""), 1}
	}
	return nil
}

// examineThere examines a running server.
func (f *doctorFlags) examineThere(ctx context.Context, report *doctor.Report) error {
	base, token, err := f.conn.server()
	if err != nil {
		return err
	}
	remote := &doctor.Remote{Base: base, Token: token, Topic: f.topic}
	if f.deep {
		remote.Idle = f.idle
	}
	remote.Examine(ctx, report)
	return ctx.Err()
}

// examineHere examines this machine and the configuration.
func (f *doctorFlags) examineHere(ctx context.Context, report *doctor.Report) error {
	const check = "configuration"
	cfg, err := f.config.Load()
	var faulty *config.Error
	if errors.As(err, &faulty) {
		for _, fault := range faulty.Faults {
			report.Broken(check, "'duckwire serve --help' lists every setting", "%s", fault)
		}
		report.Skip("the rest", "it depends on the configuration")
		return nil
	}
	if err != nil {
		return err
	}
	switch err := config.CheckServe(&cfg.Config); {
	case errors.Is(err, config.ErrNoKey):
		report.Broken(check, "set jwt_secret, jwt_public_key, jwks_url or api_keys; to try it here: duckwire serve --dev",
			"nobody could come in: no secret or key is configured")
	case err != nil:
		report.Broken(check, "change that setting", "%v", err)
	default:
		report.Fine(check, "every setting can be used")
	}
	localOf(cfg, f.deep).Examine(ctx, report)
	return ctx.Err()
}

// localOf returns the settings that a doctor examines.
func localOf(l *config.Loaded, deep bool) *doctor.Local {
	return &doctor.Local{
		Addr: l.Addr, DataDir: l.DataDir, TLSCert: l.TLSCert, TLSKey: l.TLSKey, ConfigFile: l.File, Dev: l.Dev,
		AllowedOrigins: l.AllowedOrigins, JWTSecret: l.JWTSecret, Audience: l.JWTAudience, JWKSURL: l.JWKSURL,
		AuthorizeURL: l.AuthorizeURL, Upstreams: doctorUpstreams(&l.Config), Deep: deep,
		RedisURL: l.RedisURL, RedisPrefix: l.RedisPrefix, RedisReplicas: l.RedisReplicas,
		SecretsInFile: l.SecretsInFile(), Proxies: l.TrustedProxies,
		Connections: l.Connections, LogMemory: int64(l.LogMemory), JobBytes: int64(l.JobBytes),
	}
}

// doctorUpstreams returns the configured upstreams.
func doctorUpstreams(cfg *config.Config) []doctor.Upstream {
	var list []doctor.Upstream
	for _, u := range cfg.UpstreamList() {
		examined := doctor.Upstream{Options: upstreamOptions(cfg, &u)}
		if len(cfg.Upstreams) > 0 { // by name
			examined.Name = u.Name
		}
		list = append(list, examined)
	}
	return list
}
