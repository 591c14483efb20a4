package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

func TestCapsAuthorizer(t *testing.T) {
	var a hub.Authorizer = hub.CapsAuthorizer{}
	id := &hub.Identity{User: "7", Caps: mustCaps(t, map[string][]string{"code:*": {"publish"}}, "7")}
	if err := a.Authorize(context.Background(), id, "code:1", hub.ActionPublish); err != nil {
		t.Errorf("allowed: %v", err)
	}
	err := a.Authorize(context.Background(), id, "code:1", hub.ActionProduce)
	if !errors.Is(err, hub.ErrForbidden) || !strings.Contains(err.Error(), `"produce"`) || !strings.Contains(err.Error(), `"code:1"`) {
		t.Errorf("forbidden: %v", err)
	}
	if err := a.Authorize(context.Background(), nil, "code:1", hub.ActionPublish); !errors.Is(err, hub.ErrUnauthenticated) {
		t.Errorf("nobody: %v", err)
	}
}
