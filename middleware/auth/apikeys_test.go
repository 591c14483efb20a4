package auth_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware/auth"
)

func TestNewAPIKey(t *testing.T) {
	plaintext, hash := auth.NewAPIKey()
	if !regexp.MustCompile(`^dwk_[A-Za-z0-9_-]{43}$`).MatchString(plaintext) ||
		!regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(hash) {
		t.Errorf("got %q, %q", plaintext, hash)
	}
	again, _ := auth.NewAPIKey()
	if plaintext == again {
		t.Error("the same key twice")
	}
	for _, config := range []string{hash, plaintext, "sha256:" + strings.ToUpper(hash[7:])} {
		keys, err := auth.ParseAPIKeys("ci=" + config)
		if err != nil {
			t.Fatal(err)
		}
		v := newVerifier(t, auth.VerifierOptions{APIKeys: keys})
		id, err := v.Verify(t.Context(), plaintext)
		if err != nil || id.User != "ci" || id.TokenID != "ci" || !id.Service || !id.Expires.IsZero() {
			t.Errorf("got %+v, %v", id, err)
		}
		if strings.Contains(fmt.Sprintf("%+v", keys), plaintext) {
			t.Error("the key is kept in plain text")
		}
		for _, wrong := range []string{again, plaintext[:len(plaintext)-1], plaintext + "A", hash, hash[7:]} {
			if id, err := v.Verify(t.Context(), wrong); id != nil || !errors.Is(err, errs.ErrUnauthenticated) {
				t.Errorf("%q: %+v, %v", wrong, id, err)
			}
		}
	}
}

func TestParseAPIKeys(t *testing.T) {
	hash := "sha256:" + strings.Repeat("ab", 32)
	other := "sha256:" + strings.Repeat("cd", 32)
	base64Key := strings.Repeat("k", 43) + "="
	keys, err := auth.ParseAPIKeys(" worker=" + hash + ";code:*=publish|produce;user:{sub}=*;code:*=queue ,\r\n\n" +
		other + "\n" + base64Key + ",ci=" + base64Key + "x,")
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 4 || keys[0].Name != "worker" || keys[1].Name != "key-cdcdcdcd" ||
		!strings.HasPrefix(keys[2].Name, "key-") || keys[3].Name != "ci" {
		t.Fatalf("got %+v", keys)
	}
	worker, standard := keys[0].Caps, keys[1].Caps
	for _, a := range []rights.Action{"publish", "produce", "queue"} {
		if !worker.Allows("code:1", a) {
			t.Errorf("the worker may not %s", a)
		}
	}
	if worker.Allows("code:1", "subscribe") || worker.Allows("x", "publish") ||
		!worker.Allows("user:worker", "admin") || worker.Allows("user:ci", "queue") {
		t.Errorf("the worker may %v", worker.Map())
	}
	for _, a := range []rights.Action{"subscribe", "publish", "presence", "complete", "produce", "queue"} {
		if !standard.Allows("any:topic", a) {
			t.Errorf("by default a key may not %s", a)
		}
	}
	if standard.Admin() || standard.AllowsAny("admin") || standard.AllowsAny("act") {
		t.Error("by default a key is admin, or acts for users")
	}
	if none, err := auth.ParseAPIKeys(" \n, "); err != nil || none != nil {
		t.Errorf("no keys: %v, %v", none, err)
	}
}

func TestParseAPIKeysFaults(t *testing.T) {
	hash := "sha256:" + strings.Repeat("ab", 32)
	for name, c := range map[string]struct{ config, want string }{
		"short":               {"swordfish", "at least 32"},
		"short with a name":   {"ci=swordfish", "at least 32"},
		"the second":          {hash + ",swordfish", "API key 2"},
		"few digits":          {"sha256:abc", "64 hex digits"},
		"no digits":           {"sha256:" + strings.Repeat("xy", 32), "64 hex digits"},
		"spaces":              {"swordfish " + strings.Repeat("x", 32), "a space"},
		"a name twice":        {"a=" + hash + ",a=sha256:" + strings.Repeat("cd", 32), `"a" occurs twice`},
		"a key twice":         {"a=" + hash + ",b=" + hash, "the same key"},
		"no capability":       {hash + ";", "PATTERN=ACTION"},
		"no pattern":          {hash + ";=publish", "PATTERN=ACTION"},
		"no actions":          {hash + ";code:*=", `caps["code:*"][0]`},
		"an unknown action":   {hash + ";code:*=publish|dance", `caps["code:*"][1]`},
		"a bad pattern":       {hash + ";c*de=publish", "last character"},
		"an empty name":       {"=" + hash, "NAME=sha256:HEX"},
		"a name with a space": {"my ci=" + hash, "NAME=sha256:HEX"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := auth.ParseAPIKeys(c.config)
			if err == nil || keys != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", keys, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "swordfish") {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}
