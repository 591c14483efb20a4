package fim

import "strings"

// splitFiles splits a text at the markers of files. The first line after a marker is a header, with the name of a
// repository or a file. own is the code of the last file, in which the cursor is.
func splitFiles(text string) (files []string, own string) {
	for header := false; ; header = true {
		start, end, ok := fileMarker.next(text, 0)
		piece := text
		if ok {
			piece = text[:start]
		}
		if header {
			_, piece, _ = strings.Cut(piece, "\n")
		}
		if !ok {
			return files, piece
		}
		if piece = clean(piece); strings.TrimSpace(piece) != "" {
			files = append(files, piece)
		}
		text = text[end:]
	}
}

func endsWithFileMarker(text string) bool {
	for _, m := range fileMarkers {
		if strings.HasSuffix(strings.TrimRight(text, "\n"), m) {
			return true
		}
	}
	return false
}

// withoutPath removes a first line that is a file's path. StarCoder2's template has it behind the prefix's marker.
func withoutPath(prefix string) string {
	line, rest, ok := strings.Cut(prefix, "\n")
	if ok && strings.ContainsAny(line, "./") && !strings.ContainsAny(line, " \t(){}[]<>=;:\"'#,") {
		return rest
	}
	return prefix
}
