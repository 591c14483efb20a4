package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

const (
	keyFiles = 60  // files to simulate typing in
	keyChars = 240 // characters to type in each
)

// keys simulates a person who types a stretch of each file, with the rest of the file after the cursor. A completion
// is requested after each word and each line. If its first line is what the person means to type, one key accepts it;
// otherwise it is ignored at no cost. The editor types indentation, not the person.
func keys(ctx context.Context, w io.Writer, texts []string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 2))
	var typed, chars, shown, taken int
	for _, text := range texts[:min(len(texts), keyFiles)] {
		at := r.IntN(len(text) * 9 / 10)
		for at > 0 && text[at-1] != '\n' {
			at--
		}
		end := min(len(text), at+keyChars)
		for end < len(text) && text[end-1] != '\n' {
			end++
		}
		before, want, after := text[:at], text[at:end], text[end:]
		for want != "" {
			got := ""
			if pause(before) {
				shown++
				var err error
				if got, err = complete(ctx, before, "\n"+after); err != nil {
					return err
				}
			}
			n := line(got)
			switch {
			case got == "":
				if pause(before) {
					shown--
				}
				n = 0
			case n > 1 && strings.HasPrefix(want, got[:n]):
				taken++
			default:
				n = 0
			}
			if n == 0 {
				_, n = utf8.DecodeRuneInString(want)
			}
			typed++
			before, want = before+want[:n], want[n:]
			chars += n
			if strings.HasSuffix(before, "\n") {
				indent := len(want) - len(strings.TrimLeft(want, "\t "))
				before, want = before+want[:indent], want[indent:]
			}
		}
	}
	const format = "\nkeys: %d pressed for %d characters, %.1f%% fewer; %d proposals shown, %.0f%% of them taken\n"
	_, err := fmt.Fprintf(w, format, typed, chars, 100-share(typed, chars), shown, share(taken, shown))
	return err
}

// pause reports whether the person may look at a completion here: at the end of a word or a line.
func pause(before string) bool {
	if before == "" {
		return true
	}
	c := before[len(before)-1]
	return !(c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
}

// line returns the length of a completion up to the end of its first line that is not empty.
func line(got string) int {
	lead := len(got) - len(strings.TrimLeft(got, " \t\n"))
	if i := strings.IndexByte(got[lead:], '\n'); i >= 0 {
		return lead + i
	}
	return len(got)
}
