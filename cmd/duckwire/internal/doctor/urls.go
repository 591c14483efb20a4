package doctor

import (
	"errors"
	"net/url"
)

// isPlain reports whether requests to a URL go over a network without encryption.
func isPlain(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && !isLoopback(u.Hostname())
}

// withoutURL removes the URL, which may contain a password, from an http.Client's error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
