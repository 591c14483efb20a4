package main

import (
	"strings"
	"testing"
)

// run is the output of go test -json for a package with one test of each kind, and for a package that does not build.
const run = `
{"Time":"2026-01-02T03:04:05Z","Action":"start","Package":"github.com/duckwire/duckwire/hub"}
{"Action":"output","Package":"github.com/duckwire/duckwire/hub","Test":"TestA","Output":"    a_test.go:7: it needs a browser\n"}
{"Action":"output","Package":"github.com/duckwire/duckwire/hub","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"github.com/duckwire/duckwire/hub","Test":"TestA"}
{"Action":"pass","Package":"github.com/duckwire/duckwire/hub","Test":"TestB"}
{"Action":"fail","Package":"github.com/duckwire/duckwire/hub","Test":"TestC/a+b"}
{"Action":"fail","Package":"github.com/duckwire/duckwire/hub","Test":"TestC"}
{"Time":"2026-01-02T03:05:15Z","Action":"fail","Package":"github.com/duckwire/duckwire/hub"}
# github.com/duckwire/duckwire/web
{"Action":"fail","Package":"github.com/duckwire/duckwire/web"}
`

func TestTally(t *testing.T) {
	p := newPart("unit")
	if err := p.read(strings.NewReader(run)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	printTable(&out, []*part{p})
	code := conclude(&out, []*part{p})
	const want = `
part   tests  failed    time  skipped, and why
unit       4       3    1:10  1: it needs a browser

To run alone what failed:
  make test PKG=./hub RUN='^TestC$$/^a\+b$$'
  make test PKG=./web

1 passed, 3 failed, 1 skipped
`
	if out.String() != want || code != 1 {
		t.Errorf("code %d; got\n%s\nwant\n%s", code, out.String(), want)
	}
}

func TestNoTestIsAFailure(t *testing.T) {
	var out strings.Builder
	if code := conclude(&out, nil); code != 1 {
		t.Errorf("code %d: %s", code, out.String())
	}
}
