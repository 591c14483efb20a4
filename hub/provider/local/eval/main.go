// Command eval measures the built-in completer on real source code: how much typing it saves, and how often it is
// right.
//
// It chooses files of a folder by seed, cuts each at random places, hides some lines after the cut, and requests a
// completion. It compares the completion with the hidden text:
//
//	saved      characters of the completion up to the first wrong one, as a share of the hidden characters
//	precision  the same, as a share of the completion's characters
//	exact      completions without a wrong character
//	silent     cuts without a completion
//
// "accepted" is the share of completions that a person would accept: those that are exact, or have a correct first
// line and at least half of their characters right; only these count as saved. "keys" simulates a person who types
// (see keys.go). Half of all cuts are inside a word, which is hard to predict from the text before it; they count as
// well.
//
// The same seed on the same folder gives the same figures.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/duckwire/duckwire/hub/provider/local/internal/predict"
)

func main() {
	seed := flag.Uint64("seed", 1, "chooses files and cuts")
	files := flag.Int("files", 120, "files to take")
	cuts := flag.Int("cuts", 8, "cuts in each file")
	dir := flag.String("dir", "", "folder of source; Go's standard library by default")
	ext := flag.String("ext", ".go", "files to take, by the end of their name")
	fit := flag.Bool("fit", false, "learn the weights from the files and print them instead")
	show := flag.Int("show", 0, "show this many proposals")
	flag.Parse()
	if *dir == "" {
		*dir = standardLibrary()
	}
	texts, err := sources(*dir, *ext, *files, *seed)
	if err == nil && *fit {
		predict.Fit(os.Stdout, texts, *cuts, *seed)
		return
	}
	if err == nil {
		err = report(context.Background(), os.Stdout, texts, *cuts, *seed, *show)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1)
	}
}

// standardLibrary returns the folder of the go command's standard library, or "" if it cannot be found.
func standardLibrary() string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src")
}
