package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// fail is the tests' error writer: it writes the status and the error's text.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusInternalServerError
	for sentinel, s := range map[error]int{
		errs.ErrUnauthenticated: 401, errs.ErrForbidden: 403, errs.ErrTooLarge: 413,
		errs.ErrUnavailable: 503,
	} {
		if errors.Is(err, sentinel) {
			status = s
		}
	}
	w.WriteHeader(status)
	fmt.Fprint(w, err)
}

// whoami responds with the user and the URL that the handler sees.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	form := ""
	if r.ParseForm() == nil {
		form = r.Form.Encode()
	}
	fmt.Fprintf(w, "%s %s %s %s", auth.IdentityFrom(r.Context()).User, r.URL, r.RequestURI, form)
})

func tokenFor(user string) string { return hs256(claims(jwt.MapClaims{"sub": user})) }

func authHandler(t *testing.T) http.Handler {
	_, hash := auth.NewAPIKey()
	keys, err := auth.ParseAPIKeys("ci=" + apiKey + ",other=" + hash)
	must(err)
	v := newVerifier(t, auth.VerifierOptions{Secret: secret, APIKeys: keys})
	return auth.Authenticate(v, auth.Options{AllowedOrigins: []string{"https://app.example.com", "*"}}, fail)(whoami)
}

const apiKey = "dwk_0123456789012345678901234567890123456789012"

// TestAuthenticate tests where credentials may be, and the resulting user. The server is example.com (httptest's Host).
func TestAuthenticate(t *testing.T) {
	h := authHandler(t)
	ada, bob, eve := tokenFor("ada"), tokenFor("bob"), tokenFor("eve")
	expired := hs256(claims(jwt.MapClaims{"exp": now.Add(-time.Hour).Unix()}))
	type header = map[string]string
	cookie := func(token string) string { return "x=y; duckwire_token=" + token }
	for name, c := range map[string]struct {
		method, url string
		headers     header
		status      int
		want        string // the user, or a part of the error
	}{
		"bearer":                  {"GET", "/", header{"Authorization": "Bearer " + ada}, 200, "ada"},
		"bearer in small letters": {"GET", "/", header{"Authorization": "bearer  " + ada + " "}, 200, "ada"},
		"bearer, an API key":      {"POST", "/", header{"Authorization": "Bearer " + apiKey}, 200, "ci"},
		"token":                   {"GET", "/?token=" + ada, nil, 200, "ada"},
		"api_key":                 {"GET", "/?api_key=" + apiKey, nil, 200, "ci"},
		"cookie, same origin": {
			"GET", "/",
			header{"Cookie": cookie(ada), "Sec-Fetch-Site": "same-origin"},
			200, "ada",
		},
		"cookie, typed into the bar": {
			"GET", "/",
			header{"Cookie": cookie(ada), "Sec-Fetch-Site": "none"},
			200,
			"ada",
		},
		"cookie, our own host": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "http://example.com"},
			200, "ada",
		},
		"cookie, our host by default": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "https://example.com:443"},
			200, "ada",
		},
		"cookie, an allowed origin": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "https://app.example.com", "Sec-Fetch-Site": "same-site"},
			200,
			"ada",
		},
		"cookie, no browser reads":   {"GET", "/", header{"Cookie": cookie(ada)}, 200, "ada"},
		"nothing":                    {"GET", "/", nil, 401, "a token is needed"},
		"another query":              {"GET", "/?tokens=" + ada, nil, 401, "a token is needed"},
		"another scheme alone":       {"GET", "/", header{"Authorization": "Basic YTpi"}, 401, "a token is needed"},
		"another scheme and a token": {"GET", "/?token=" + ada, header{"Authorization": "Basic YTpi"}, 200, "ada"},
		"bearer without one": {
			"GET", "/?token=" + ada,
			header{"Authorization": "Bearer "},
			401,
			"holds no token",
		},
		"an empty token":         {"GET", "/?token=", nil, 401, "empty token"},
		"an empty token, bare":   {"GET", "/?token&api_key=" + apiKey, nil, 401, "empty token"},
		"a token badly encoded":  {"GET", "/?token=%zz", nil, 401, "empty token"},
		"a token twice":          {"GET", "/?token=" + ada + "&token=" + bob, nil, 401, "several tokens"},
		"a token's name encoded": {"GET", "/?%74oken=" + ada, nil, 200, "ada"},
		"cookie twice, the same": {
			"GET", "/",
			header{"Cookie": cookie(ada) + "; duckwire_token=" + ada},
			200,
			"ada",
		},
		"cookie twice, another": {
			"GET", "/",
			header{"Cookie": cookie(ada) + "; duckwire_token=" + eve},
			401,
			"several cookies",
		},
		"cookie, empty": {"GET", "/?token=" + bob, header{"Cookie": cookie("")}, 401, "is empty"},
		"all: bearer wins": {
			"GET", "/?token=" + eve + "&api_key=" + apiKey,
			header{"Authorization": "Bearer " + ada, "Cookie": cookie(bob)},
			200, "ada",
		},
		"all: a bad bearer stays bad": {
			"GET", "/?token=" + eve,
			header{"Authorization": "Bearer " + expired, "Cookie": cookie(bob)},
			401, "token expired",
		},
		"api-key":             {"GET", "/", header{"Api-Key": ada}, 200, "ada"},
		"apikey":              {"GET", "/?apikey=" + apiKey, nil, 200, "ci"},
		"apikey, a header":    {"GET", "/?apikey=" + eve, header{"Apikey": apiKey}, 200, "ci"},
		"token before apikey": {"GET", "/?apikey=none&token=" + eve, nil, 200, "eve"},
		"two of apikey":       {"GET", "/?apikey=" + apiKey + "&apikey=" + eve, nil, 401, "several tokens"},
		"api-key, a key":      {"GET", "/", header{"Api-Key": apiKey}, 200, "ci"},
		"x-api-key":           {"POST", "/", header{"X-Api-Key": " " + ada + " "}, 200, "ada"},
		"api-key, wrong":      {"GET", "/?token=" + eve, header{"Api-Key": "dwk_x"}, 401, "API key is unknown"},
		"api-key, empty":      {"GET", "/?token=" + eve, header{"Api-Key": ""}, 401, "api-key is empty"},
		"no scheme in it":     {"GET", "/", header{"X-Api-Key": "Bearer " + ada}, 401, "malformed"},
		"bearer before api-key": {
			"GET", "/",
			header{"Authorization": "Bearer " + ada, "Api-Key": bob, "X-Api-Key": eve},
			200, "ada",
		},
		"a bad bearer before api-key": {
			"GET", "/",
			header{"Authorization": "Bearer " + expired, "Api-Key": bob},
			401, "token expired",
		},
		"api-key before x-api-key": {"GET", "/", header{"Api-Key": bob, "X-Api-Key": eve}, 200, "bob"},
		"x-api-key before cookie":  {"GET", "/?token=" + ada, header{"X-Api-Key": eve, "Cookie": cookie(bob)}, 200, "eve"},
		"Basic is for the proxy":   {"GET", "/", header{"Authorization": "Basic eDp5", "X-Api-Key": eve}, 200, "eve"},
		"a foreign page's api-key": {
			"POST", "/",
			header{"Api-Key": bob, "Cookie": cookie(ada), "Origin": "https://evil.example"},
			200, "bob",
		},
		"cookie before token": {"GET", "/?token=" + eve, header{"Cookie": cookie(bob)}, 200, "bob"},
		"a bad cookie stays bad": {
			"GET", "/?token=" + eve,
			header{"Cookie": cookie(expired)},
			401,
			"token expired",
		},
		"token before api_key": {"GET", "/?api_key=" + apiKey + "&token=" + eve, nil, 200, "eve"},
		"a bad token stays bad": {
			"GET", "/?token=" + expired + "&api_key=" + apiKey, nil, 401,
			"token expired",
		},
		"CSRF: a foreign page": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
			403,
			"evil.example",
		},
		"CSRF: a foreign page reads": {
			"GET", "/",
			header{"Cookie": cookie(ada), "Origin": "https://evil.example"},
			403, "evil.example",
		},
		"CSRF: an image": {
			"GET", "/",
			header{"Cookie": cookie(ada), "Sec-Fetch-Site": "cross-site"},
			403, "other origins",
		},
		"CSRF: a sister site": {
			"GET", "/",
			header{"Cookie": cookie(ada), "Sec-Fetch-Site": "same-site"},
			403, "other origins",
		},
		"CSRF: a sandboxed page": {"POST", "/", header{"Cookie": cookie(ada), "Origin": "null"}, 403, "null"},
		"CSRF: a longer host": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "https://example.com.evil.example"},
			403, "evil.example",
		},
		"CSRF: another port": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "http://example.com:8080"},
			403, "8080",
		},
		"CSRF: user info": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "http://example.com@evil.example"},
			403, "evil.example",
		},
		"CSRF: an odd scheme": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "ftp://example.com"},
			403, "ftp",
		},
		"CSRF: no sign of where from": {"POST", "/", header{"Cookie": cookie(ada)}, 403, "needs an Origin"},
		"CSRF: DELETE too":            {"DELETE", "/", header{"Cookie": cookie(ada)}, 403, "needs an Origin"},
		"CSRF: none is for own deeds": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Sec-Fetch-Site": "none"},
			200,
			"ada",
		},
		"a foreign page's own token": {
			"POST", "/?token=" + bob,
			header{"Cookie": cookie(ada), "Origin": "https://evil.example"},
			200, "bob",
		},
		"a foreign page's bearer": {
			"POST", "/",
			header{"Cookie": cookie(ada), "Origin": "https://evil.example", "Authorization": "Bearer " + bob},
			200,
			"bob",
		},
		"an unknown API key, never anon": {"GET", "/?api_key=dwk_x", nil, 401, "API key is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.url, nil)
			for k, v := range c.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != c.status || c.status == 200 && !strings.HasPrefix(body, c.want+" ") ||
				!strings.Contains(body, c.want) {
				t.Errorf("got %d %s; want %d %s", w.Code, body, c.status, c.want)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			wantError := c.status == 401 && c.want != "a token is needed"
			if (c.status == 401) != strings.HasPrefix(challenge, "Bearer ") ||
				wantError != strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("WWW-Authenticate: %s", challenge)
			}
		})
	}
	t.Run("two Authorization headers", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{"Bearer " + ada, "Bearer " + bob}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 401 {
			t.Errorf("got %d", w.Code)
		}
	})
	t.Run("two api-key headers", func(t *testing.T) {
		for _, c := range []struct {
			second string
			status int
		}{{bob, 401}, {ada, 200}, {"", 401}} {
			for _, name := range []string{"Api-Key", "X-Api-Key"} {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header[name] = []string{ada, c.second}
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != c.status {
					t.Errorf("%s: got %d %s; want %d", name, w.Code, w.Body, c.status)
				}
			}
		}
	})
	t.Run("two Origin headers", func(t *testing.T) {
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set("Cookie", cookie(ada))
			r.Header["Origin"] = []string{"https://app.example.com", "https://evil.example"}
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != 403 {
				t.Errorf("%s: got %d", method, w.Code)
			}
		}
	})
}

// TestAuthenticateHidesQuery: handlers do not see the credentials, and the rest of the query is unchanged.
func TestAuthenticateHidesQuery(t *testing.T) {
	h := authHandler(t)
	ada := tokenFor("ada")
	for query, want := range map[string]string{
		"token=" + ada:                            "/p%2Fq",
		"a=1&token=" + ada + "&b=%C3%A9+x&a=;":    "/p%2Fq?a=1&b=%C3%A9+x&a=;",
		"api_key=x&a=1&token=" + ada:              "/p%2Fq?a=1",
		"apikey=x&vsn=2.0.0&token=" + ada:         "/p%2Fq?vsn=2.0.0",
		"%74oken=" + ada + "&after=E.1":           "/p%2Fq?after=E.1",
		"x=%zz&token=" + ada:                      "/p%2Fq?x=%zz",
		"TOKEN=visible&token=" + ada:              "/p%2Fq?TOKEN=visible",
		"topic=a&topic=b&&token=" + ada + "&c&d=": "/p%2Fq?topic=a&topic=b&&c&d=",
	} {
		r := httptest.NewRequest("GET", "/p%2Fq?"+query, nil)
		original := r.URL.String()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		parts := strings.Split(w.Body.String(), " ")
		if w.Code != 200 || parts[1] != want || parts[2] != want || strings.Contains(w.Body.String(), ada) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
		if r.URL.String() != original {
			t.Error("the outer request was changed")
		}
	}
	// Without a credential in the query the request is passed on unchanged.
	r := httptest.NewRequest("GET", "/?a=1&&b;c", nil)
	r.Header.Set("Authorization", "Bearer "+ada)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if !strings.HasPrefix(w.Body.String(), "ada /?a=1&&b;c ") {
		t.Error(w.Body)
	}
}

// TestAuthenticateUnavailable: while the keys cannot be fetched, the error does not blame the token.
func TestAuthenticateUnavailable(t *testing.T) {
	v := newVerifier(t, auth.VerifierOptions{JWKSURL: jwksURL, HTTPClient: (&issuer{down: true}).client()})
	w := httptest.NewRecorder()
	auth.Authenticate(v, auth.Options{}, fail)(whoami).ServeHTTP(w,
		httptest.NewRequest("GET", "/?token="+url.QueryEscape(newEdSigner().sign(claims(nil), nil)), nil))
	if w.Code != 503 || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

func TestChallengeIsOneHeader(t *testing.T) {
	h := authHandler(t)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	caps := map[string]any{"a\"\\\r\nX: y é": []string{"publish"}}
	r.Header.Set("Authorization", "Bearer "+hs256(claims(jwt.MapClaims{"caps": caps})))
	h.ServeHTTP(w, r)
	got := w.Header().Get("WWW-Authenticate")
	if w.Code != 401 || strings.Count(got, `"`) != 6 || strings.ContainsAny(got, "\r\n\\é") {
		t.Errorf("got %d %s", w.Code, got)
	}
}

// TestAuthenticateIsLogged: the access log has the user, and no credential.
func TestAuthenticateIsLogged(t *testing.T) {
	var log bytes.Buffer
	h := middleware.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(authHandler(t))
	ada := tokenFor("ada")
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?token="+ada, nil))
	if got := log.String(); !strings.Contains(got, "user=ada") || strings.Contains(got, ada) {
		t.Errorf("the access log says %s", got)
	}
}

func TestIdentityFromNothing(t *testing.T) {
	if id := auth.IdentityFrom(t.Context()); id != nil {
		t.Errorf("got %+v", id)
	}
}
