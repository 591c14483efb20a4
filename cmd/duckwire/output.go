package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
)

// printColumns writes texts from the server on one line, with two spaces between them.
func printColumns(w io.Writer, texts ...string) error {
	for i := range texts {
		texts[i] = terminal.Printable(texts[i])
	}
	_, err := fmt.Fprintln(w, strings.Join(texts, "  "))
	return err
}

// printJSON writes a JSON text with line breaks.
func printJSON(w io.Writer, raw json.RawMessage) error {
	text, err := json.MarshalIndent(raw, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
