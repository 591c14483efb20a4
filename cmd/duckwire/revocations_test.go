package main

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/config"
)

// TestRevocationsSurviveARestart: revocations still apply in the next process with the same data folder.
func TestRevocationsSurviveARestart(t *testing.T) {
	const secret = "a secret of the tests, longer than 32 bytes"
	src := config.Sources{
		Flags: map[string]string{"data_dir": t.TempDir()}, Environ: []string{"DUCKWIRE_JWT_SECRET=" + secret},
	}
	cfg, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	token := func(user, id string) string {
		claims := jwt.MapClaims{
			"sub": user, "jti": id, "caps": map[string][]string{"*": {"admin"}},
			"iat": time.Now().Unix() - 60, "exp": time.Now().Add(time.Hour).Unix(),
		}
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	statuses := func(requests ...[3]string) (got []int) {
		a, err := buildServer(&cfg.Config, quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer a.close(quiet())
		for _, q := range requests {
			method, path, _ := strings.Cut(q[0], " ")
			r := httptest.NewRequest(method, path, strings.NewReader(q[1]))
			r.Header.Set("Authorization", "Bearer "+q[2])
			w := httptest.NewRecorder()
			a.handler.ServeHTTP(w, r)
			got = append(got, w.Code)
		}
		return got
	}
	admin, ada, bob := token("admin", "1"), token("ada", "2"), token("bob", "3")
	const list = "GET /v1/streams"
	before := statuses([3]string{list, "", ada}, [3]string{list, "", bob},
		[3]string{"POST /v1/revocations", `{"user":"ada"}`, admin}, [3]string{"POST /v1/revocations", `{"jti":"3"}`, admin})
	after := statuses([3]string{list, "", ada}, [3]string{list, "", bob}, [3]string{list, "", admin},
		[3]string{"DELETE /v1/revocations?user=ada", "", admin}, [3]string{list, "", ada})
	lifted := statuses([3]string{list, "", ada}, [3]string{list, "", bob})
	want := [][]int{{200, 200, 201, 201}, {401, 401, 200, 204, 200}, {200, 401}}
	if !reflect.DeepEqual([][]int{before, after, lifted}, want) {
		t.Errorf("%v, %v, %v; want %v", before, after, lifted, want)
	}
}
