package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

// readAll reads a file, or stdin for "-".
func readAll(path string, stdin io.Reader) (string, error) {
	if path == "-" {
		text, err := io.ReadAll(stdin)
		return string(text), err
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// payloadArg returns the payload from the command line: JSON, @FILE, or - for stdin.
func payloadArg(args []string, stdin io.Reader) (json.RawMessage, error) {
	text := "{}"
	if len(args) > 0 {
		text = args[0]
	}
	file, isFile := strings.CutPrefix(text, "@")
	if text == "-" {
		file, isFile = "-", true
	}
	if isFile {
		var err error
		if text, err = readAll(file, stdin); err != nil {
			return nil, err
		}
	}
	if !json.Valid([]byte(text)) {
		return nil, usagef("the payload is no JSON: %s\n  a text needs quotes of its own: '\"text\"'", clip(text))
	}
	return json.RawMessage(strings.TrimSpace(text)), nil
}

// clip shortens s for an error message.
func clip(s string) string {
	if s = terminal.Printable(s); len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
