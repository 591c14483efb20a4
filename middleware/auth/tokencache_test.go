package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware/auth"
)

// A verified token is cached until it expires or its key is removed, and no other token is accepted instead.
func TestCheckedTokensAreRememberedNoLongerThanTheyHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEdSigner(), newEdSigner()
		i := &issuer{body: keySet(a.jwk("a", nil))}
		v := bubbleVerifier(t, i)
		long := a.sign(bubbleClaims(), kid("a"))
		soon := bubbleClaims()
		soon["exp"] = time.Now().Add(time.Minute).Unix()
		short := a.sign(soon, kid("a"))
		wantVerify(t, v, long, nil)
		time.Sleep(5 * time.Second) // the first fetches of the key set are over
		first, err := v.Verify(t.Context(), long)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := v.Verify(t.Context(), long); err != nil || again != first {
			t.Errorf("checked again (%v)", err)
		}
		wantVerify(t, v, short, nil)
		wantVerify(t, v, long[:len(long)-4]+"AAAA", errs.ErrUnauthenticated)
		time.Sleep(61 * time.Second)
		wantVerify(t, v, short, errs.ErrUnauthenticated)
		i.set(func() { i.body = keySet(b.jwk("b", nil)) })
		time.Sleep(12 * time.Minute) // a regular fetch
		wantVerify(t, v, long, errs.ErrUnauthenticated)
	})
}

func BenchmarkVerifySameToken(b *testing.B) {
	v := newVerifier(b, auth.VerifierOptions{Secret: secret})
	token := hs256(claims(nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
