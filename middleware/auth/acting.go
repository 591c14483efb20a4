package auth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

// UserHeader is the header in which an API key, or a token, says for which user a request is.
const UserHeader = "Duckwire-User"

// actFor returns the identity of the request: id, or that of the user in UserHeader. Errors: those of
// rights.Identity.ActFor. A header that names nobody is an error, since the request would be the key's own by mistake.
func actFor(r *http.Request, id *rights.Identity, now time.Time) (*rights.Identity, error) {
	values := r.Header.Values(UserHeader)
	switch len(values) {
	case 0:
		return id, nil
	case 1:
	default:
		return nil, errs.Invalid(UserHeader, "stands there %d times", len(values))
	}
	acting, err := id.ActFor(values[0], now)
	var bad *errs.FieldError
	if errors.As(err, &bad) {
		return nil, &errs.FieldError{Field: UserHeader, Reason: bad.Reason}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", UserHeader, err)
	}
	return acting, nil
}
