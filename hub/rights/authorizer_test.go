package rights_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

func TestCapsAuthorizer(t *testing.T) {
	var a rights.Authorizer = rights.CapsAuthorizer{}
	id := &rights.Identity{User: "7", Caps: mustCaps(t, map[string][]string{"code:*": {"publish"}}, "7")}
	if err := a.Authorize(context.Background(), id, "code:1", rights.ActionPublish); err != nil {
		t.Errorf("allowed: %v", err)
	}
	err := a.Authorize(context.Background(), id, "code:1", rights.ActionProduce)
	if !errors.Is(err, errs.ErrForbidden) ||
		!strings.Contains(err.Error(), `"produce"`) || !strings.Contains(err.Error(), `"code:1"`) {
		t.Errorf("forbidden: %v", err)
	}
	err = a.Authorize(context.Background(), nil, "code:1", rights.ActionPublish)
	if !errors.Is(err, errs.ErrUnauthenticated) {
		t.Errorf("nobody: %v", err)
	}
}
