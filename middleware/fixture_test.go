package middleware_test

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/duckwire/duckwire/hub/errs"
)

// fail is the tests' error writer: it writes the status and the error's text.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusInternalServerError
	for sentinel, s := range map[error]int{
		errs.ErrUnauthenticated: 401, errs.ErrForbidden: 403,
		errs.ErrTooLarge: 413,
	} {
		if errors.Is(err, sentinel) {
			status = s
		}
	}
	w.WriteHeader(status)
	fmt.Fprint(w, err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
