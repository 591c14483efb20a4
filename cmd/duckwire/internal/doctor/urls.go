package doctor

import (
	"errors"
	"net/url"
)

// isPlain reports whether a URL is asked without encryption, over a network.
func isPlain(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && !isLoopback(u.Hostname())
}

// withoutURL takes the URL, which may hold a password, out of an http.Client's error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
