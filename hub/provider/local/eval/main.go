// Command eval measures the built-in completer on real source: how much typing it would have saved, and how often it is right.
//
// It takes files from a folder by seed, cuts each at random places, hides what follows for a few lines, and asks for it. What is proposed
// is then compared with what was hidden:
//
//	saved      characters of the proposal up to the first wrong one, as a share of the characters that were hidden
//	precision  the same, as a share of the characters proposed
//	exact      proposals that are right to their end
//	silent     cuts where nothing was proposed
//
// "accepted" is the share of proposals that it would have been sensible to take: right to their end, or with the first line and at least
// half of the text right; only these count as saved. "keys" plays a person who types (see keys.go). Half of all cuts fall inside a word,
// about which the text before says little; they are counted all the same.
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

// standardLibrary returns the folder of the go command's own source, or "" where it does not say.
func standardLibrary() string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src")
}
