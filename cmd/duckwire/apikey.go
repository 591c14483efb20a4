package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duckwire/duckwire/middleware/auth"
)

func newAPIKeyCmd() *cobra.Command {
	var name string
	var caps []string
	cmd := &cobra.Command{
		Use:   "apikey",
		Short: "Make an API key for a server",
		Long: `Make an API key for a server that speaks to this one. It prints two lines: the key, which is kept nowhere,
and the line of its hash, for the setting api_keys (DUCKWIRE_API_KEYS, several with commas between).

--cap PATTERN=ACTION,ACTION says what the key allows, as with 'duckwire token'. Without it a key allows
every action but admin and act on every topic. The key is used like a token: Authorization: Bearer KEY.

With act on user:ID, or on user:* for all users, the key may say for which user a request is, in the header
Duckwire-User; in completions also in 'safety_identifier' or 'user', if act is listed by its name. The
request then has that user's limits, streams and queue, and the key's rights.`,
		Example: `  duckwire apikey --name billing
  duckwire apikey --name linter --cap 'analysis:*=produce,publish'
  duckwire apikey --name backend --cap '*=complete' --cap 'user:*=act'`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&name, "name", "", "who uses it: the user that its events come from (default: made of its hash)")
	cmd.Flags().StringArrayVar(&caps, "cap", nil, "PATTERN=ACTION,ACTION: what it allows; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, hash := auth.NewAPIKey()
		line, err := apiKeyLine(name, hash, caps)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", key, line)
		return err
	}
	return cmd
}

// apiKeyLine formats a key as auth.ParseAPIKeys reads it.
func apiKeyLine(name, hash string, caps []string) (string, error) {
	if _, err := parseCaps(caps, cmp.Or(name, "key")); err != nil {
		return "", err
	}
	line := hash
	if name != "" {
		line = name + "=" + hash
	}
	for _, c := range caps {
		i := strings.LastIndexByte(c, '=')
		if strings.ContainsAny(c[:i], ",;") {
			return "", usagef("--cap %q: a pattern in an API key may hold no ',' and no ';'", c)
		}
		line += ";" + c[:i+1] + strings.ReplaceAll(c[i+1:], ",", "|")
	}
	keys, err := auth.ParseAPIKeys(line)
	if err != nil || len(keys) != 1 || name != "" && keys[0].Name != name { // everything else was checked before
		return "", usagef("--name %q must be 1 to 64 characters of A-Z, a-z, 0-9 and . _ -", name)
	}
	return line, nil
}
