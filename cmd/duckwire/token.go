package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
	"github.com/duckwire/duckwire/hub/rights"
)

// capabilities is the claim caps of a token: which actions are allowed on the topics that match each pattern
// (hub/rights/caps.go).
type capabilities map[string][]string

// tokenClaims has the claims of a token.
type tokenClaims struct {
	user, jti, issuer, audience string // only user must be set
	caps                        capabilities
	ttl                         time.Duration
}

// signToken returns an HS256 token.
func signToken(secret string, c tokenClaims) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{"sub": c.user, "iat": now.Unix(), "exp": now.Add(c.ttl).Unix(), "caps": c.caps}
	for name, value := range map[string]string{"jti": c.jti, "iss": c.issuer, "aud": c.audience} {
		if value != "" {
			claims[name] = value
		}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
}

func newTokenCmd() *cobra.Command {
	var user, jti string
	var caps []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "token --user USER",
		Short: "Print a token",
		Long: `Print one token for a user, and nothing else.

It is signed (HS256) with jwt_secret from the environment or the configuration file; without one, with
the secret that 'duckwire serve --dev' keeps in the data folder.

--cap PATTERN=ACTION,ACTION says what the token allows on which topics, and may be repeated. A pattern may
end in *, and {sub} in it stands for the user. Actions: subscribe, publish, presence, complete (start and
cancel own streams), produce (append to streams), queue (message users), act (on user:ID: make requests as
that user, with the header Duckwire-User), admin, * (all). Without --cap a token allows everything on the
user's own topic (user:{sub}=*), and everything everywhere (*=*) if it is signed with a development secret.`,
		Example: `  duckwire token --user ada
  duckwire token --user ada --cap 'code:project:42=subscribe,publish,presence' --cap 'user:{sub}=*' --ttl 8h
  export DUCKWIRE_TOKEN=$(duckwire token --user ada)`,
		Args: cobra.NoArgs,
	}
	settings := config.AddFlags(cmd, "data_dir")
	flags := cmd.Flags()
	flags.StringVar(&user, "user", "", "who the token is for (its sub)")
	flags.StringArrayVar(&caps, "cap", nil, "PATTERN=ACTION,ACTION: what it allows; may be repeated")
	flags.DurationVar(&ttl, "ttl", time.Hour, "how long it holds")
	flags.StringVar(&jti, "jti", "", "its id, to revoke it by")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := settings.Load()
		if err != nil {
			return err
		}
		if user == "" {
			return usagef("who is the token for? give --user")
		}
		claims := tokenClaims{user: user, jti: jti, ttl: ttl, issuer: cfg.JWTIssuer, audience: cfg.JWTAudience}
		if claims.caps, err = parseCaps(caps, user); err != nil {
			return err
		}
		token, err := makeToken(&cfg.Config, claims)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), token)
		return nil
	}
	return cmd
}

// makeToken signs a token with the configured secret, or with the development secret. It adds default rights if there
// are none.
func makeToken(cfg *config.Config, c tokenClaims) (string, error) {
	if c.ttl < time.Second {
		return "", usagef("--ttl %s is too little; the least is 1s", c.ttl)
	}
	secret, standard := cfg.JWTSecret, capabilities{"user:{sub}": {"*"}}
	if secret == "" {
		var err error
		if secret, err = config.ReadDevSecret(cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("there is no secret to sign with: set DUCKWIRE_JWT_SECRET to the server's, "+
				"or run 'duckwire serve --dev' here first (it keeps one in %s)", config.DevSecretPath(cfg.DataDir))
		} else if err != nil {
			return "", err
		}
		standard = devCaps
	}
	if len(c.caps) == 0 {
		c.caps = standard
	}
	return signToken(secret, c)
}

// parseCaps parses texts of the form PATTERN=ACTION,ACTION. Actions of the same pattern add up.
func parseCaps(texts []string, user string) (capabilities, error) {
	caps := capabilities{}
	for _, text := range texts {
		i := strings.LastIndexByte(text, '=') // actions do not contain '='
		if i <= 0 || i == len(text)-1 {
			return nil, usagef("--cap %q must be PATTERN=ACTION,ACTION, such as 'code:project:42=subscribe,publish'", text)
		}
		for action := range strings.SplitSeq(text[i+1:], ",") {
			caps[text[:i]] = append(caps[text[:i]], strings.TrimSpace(action))
		}
	}
	if _, err := rights.ParseCaps(caps, user); err != nil { // as the server does
		return nil, usagef("--cap: %w", err)
	}
	return caps, nil
}
