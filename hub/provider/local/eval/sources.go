package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Files of other sizes, in bytes, are skipped.
const (
	minFile = 1 << 10
	maxFile = 100 << 10
)

// sources reads n files of dir whose names end in ext, chosen by seed.
func sources(dir, ext string, n int, seed uint64) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(name, ext) {
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() >= minFile && info.Size() <= maxFile {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var texts []string
	for _, name := range names {
		if len(texts) == n {
			break
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if utf8.Valid(b) && !strings.Contains(string(b[:minFile]), "DO NOT EDIT") {
			texts = append(texts, string(b))
		}
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("no %s files between %d and %d bytes in %s", ext, minFile, maxFile, dir)
	}
	return texts, nil
}
