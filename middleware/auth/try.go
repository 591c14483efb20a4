package auth

import (
	"context"
	"net/http"

	"github.com/duckwire/duckwire/hub/rights"
)

// TryKeySet fetches a key set once, as a Verifier does, for diagnosis. It returns the number of usable keys and the
// reasons why others are not usable, one line each.
func TryKeySet(ctx context.Context, client *http.Client, url string) (keys int, skipped []string, err error) {
	c := *client
	c.CheckRedirect = secureRedirect
	set, skipped, err := fetchKeySet(ctx, &c, url)
	return len(set), skipped, err
}

// TryAuthorizeURL asks an application once, as a URLAuthorizer does, for diagnosis. Unlike a URLAuthorizer it returns
// the cause of a failure.
func TryAuthorizeURL(
	ctx context.Context, client *http.Client, url, user, topic string, action rights.Action,
) (allowed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, defaultAuthorizeTimeout)
	defer cancel()
	verdict, _, err := askApplication(ctx, noRedirects(client), url, question{User: user, Topic: topic, Action: action})
	return verdict == verdictYes, err
}
