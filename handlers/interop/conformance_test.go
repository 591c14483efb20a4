package interop_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestConformance holds package socket to Phoenix: transcripts of a real Phoenix server, and the official client in what it does day in, day
// out. phoenix/testdata has the scripts.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("the conformance scripts are left out by -short: they need node, npm packages and half a minute")
	}
	checkNode(t)
	installPackages(t, ".")
	t.Parallel() // not before, so that packages are installed once
	const (
		latest = "node_modules/phoenix/priv/static/phoenix.mjs"
		older  = "node_modules/phoenix-1.7/priv/static/phoenix.mjs" // polls with XMLHttpRequest alone
	)
	for _, script := range []struct {
		name  string
		args  []string
		wants []string // lines of the output, where a script does not judge by itself
	}{
		{"transcripts", []string{"replay.mjs", "phoenix/testdata/transcripts.json"}, nil},
		{"client", []string{"client.mjs", latest}, nil},
		{"client 1.7", []string{"client.mjs", older}, nil},
		{"fallback, fetch", []string{"fallback.mjs", latest}, fellBack()},
		{"fallback, XMLHttpRequest", []string{"fallback.mjs", latest, "xhr"}, fellBack()},
		{"fallback 1.7", []string{"fallback.mjs", older, "xhr"}, fellBack()},
	} {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"phoenix/testdata/" + script.args[0]}, script.args[1:]...)
			if script.args[1] == older {
				args = append([]string{"--import", "./lib/xhr.mjs"}, args...)
			}
			var out string
			// The scripts wait for fixed times. A machine may be too busy for these: then there is a second chance, with more of it.
			for _, pace := range []string{"SLOW=1 WAIT=300", "SLOW=3 WAIT=1000"} {
				env := append(strings.Fields(pace), "PHX="+startFixture(t), fmt.Sprintf("LP_WINDOW=%d", pollWindow.Milliseconds()), "SSE=1")
				var err error
				out, err = try(t, env, "node", args...)
				if err == nil && hasLines(out, script.wants) {
					return
				}
				t.Logf("%s: %v\n%s", pace, err, out)
			}
			t.Fail()
		})
	}
}

// fellBack is what fallback.mjs says of five connections: four on which WebSockets are broken, and one on which they are not.
func fellBack() []string {
	lines := []string{`--- mode pass: transport=WebSocket state=joined joinsOk=1 memory=[]`}
	for _, broken := range []string{"403", "reset", "hang", "blackhole"} {
		lines = append(lines, `--- mode `+broken+`: transport=LongPoll state=joined joinsOk=1 memory=[["phx:fallback:LongPoll","true"]]`)
	}
	return lines
}

func hasLines(out string, wants []string) bool {
	for _, want := range wants {
		if !strings.Contains(out, want+"\n") {
			return false
		}
	}
	return true
}
