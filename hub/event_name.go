package hub

import (
	"strings"

	"github.com/duckwire/duckwire/hub/errs"
)

// ValidEvent returns nil if s may be the name of an event that a client publishes, or of an entry that a producer writes:
// a ValidName that does not belong to the Phoenix protocol, where it would act on the receivers' sockets. Its error, a
// *FieldError, names field.
func ValidEvent(field, s string) error {
	if err := ValidName(field, s); err != nil {
		return err
	}
	for _, prefix := range [...]string{"phx_", "presence_", "chan_reply_"} {
		if strings.HasPrefix(s, prefix) {
			return errs.Invalid(field, "names beginning with phx_, presence_ and chan_reply_ belong to the protocol; choose another")
		}
	}
	if s == accessToken {
		return errs.Invalid(field, "%s renews a client's token; choose another name", accessToken)
	}
	return nil
}

// accessToken is the event with which clients renew their token on a socket.
const accessToken = "access_token"

// validMessage returns an error if a message of this name may not be left in a queue by a client: the server itself
// reports by it.
func validMessage(field, event string) error {
	if event == ResultEvent || event == ExpiredEvent {
		return errs.Invalid(field, "messages %s are the server's alone; choose another name", event)
	}
	return nil
}
