package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
)

// Revocations tests a rights.RevocationStore. open returns an empty store; reopen returns the same store as after a
// restart.
func Revocations(t *testing.T, open func(t testing.TB) rights.RevocationStore,
	reopen func(t testing.TB, s rights.RevocationStore) rights.RevocationStore,
) {
	hours := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	ada := rights.Revocation{User: "ada", Issued: noon.Add(123456 * time.Microsecond), Until: hours(1)}
	token := rights.Revocation{TokenID: "ada", Until: hours(2)} // a token id that equals the user's name

	t.Run("they come back whole", func(t *testing.T) {
		s := open(t)
		wantRevocations(t, s)
		odd := rights.Revocation{TokenID: strings.Repeat("é'\"%", 30), Until: hours(3)}
		for _, r := range []rights.Revocation{ada, token, odd} {
			saveRevocation(t, s, r)
		}
		wantRevocations(t, reopen(t, s), ada, token, odd)
	})
	t.Run("the later times count, in any order", func(t *testing.T) {
		s := open(t)
		issued, until := ada, ada
		issued.Issued, until.Until = noon.Add(2*time.Second), hours(5).Add(time.Second/2)
		both := rights.Revocation{User: "ada", Issued: issued.Issued, Until: until.Until}
		for _, r := range []rights.Revocation{ada, issued, until, ada} {
			saveRevocation(t, s, r)
		}
		wantRevocations(t, s, both)
		wantRevocations(t, reopen(t, s), both)
	})
	t.Run("only the one is deleted", func(t *testing.T) {
		s := open(t)
		saveRevocation(t, s, ada)
		saveRevocation(t, s, token)
		for _, user := range []string{"ada", "ada", "nobody"} {
			if err := s.DeleteRevocation(user, ""); err != nil {
				t.Fatal(err)
			}
		}
		s = reopen(t, s)
		wantRevocations(t, s, token)
		if err := s.DeleteRevocation("", "ada"); err != nil {
			t.Fatal(err)
		}
		wantRevocations(t, reopen(t, s))
	})
	t.Run("expired ones are deleted, however many", func(t *testing.T) {
		s := open(t)
		var work sync.WaitGroup
		for i := range 450 {
			work.Go(func() { saveRevocation(t, s, rights.Revocation{TokenID: fmt.Sprint(i), Until: hours(1)}) })
		}
		work.Wait()
		saveRevocation(t, s, token)
		if err := s.ForgetRevocations(hours(1)); err != nil {
			t.Fatal(err)
		}
		wantRevocations(t, reopen(t, s), token)
	})
	t.Run("loading ends with the first error", func(t *testing.T) {
		s := open(t)
		saveRevocation(t, s, ada)
		saveRevocation(t, s, token)
		n, enough := 0, errors.New("enough")
		err := s.LoadRevocations(func(rights.Revocation) error { n++; return enough })
		if !errors.Is(err, enough) || n != 1 {
			t.Errorf("%d calls, %v", n, err)
		}
	})
}

// SharedRevocations tests a rights.SharedRevocationStore: a and b are two nodes of one empty store. empty
// deletes its data.
func SharedRevocations(t *testing.T, a, b rights.SharedRevocationStore, empty func()) {
	generation := func(s rights.SharedRevocationStore) string {
		t.Helper()
		g, err := s.RevocationsGeneration()
		if err != nil || g == "" {
			t.Fatalf("%q, %v", g, err)
		}
		return g
	}
	first := generation(a)
	if generation(b) != first || generation(a) != first {
		t.Error("one generation has several ids")
	}
	empty()
	if next := generation(b); next == first || generation(a) != next {
		t.Errorf("the store has lost everything, and the generation is %s, and was %s", next, first)
	}
}

func saveRevocation(t testing.TB, s rights.RevocationStore, r rights.Revocation) {
	t.Helper()
	if err := s.SaveRevocation(r); err != nil {
		t.Error(err)
	}
}

func wantRevocations(t *testing.T, s rights.RevocationStore, want ...rights.Revocation) {
	t.Helper()
	got := map[[2]string]rights.Revocation{}
	err := s.LoadRevocations(func(r rights.Revocation) error {
		got[[2]string{r.User, r.TokenID}] = r
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[[2]string]rights.Revocation{}
	for _, r := range want {
		all[[2]string{r.User, r.TokenID}] = r
	}
	if !reflect.DeepEqual(got, all) {
		t.Errorf("got %+v, want %+v", got, all)
	}
}
