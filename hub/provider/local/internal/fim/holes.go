package fim

import (
	"cmp"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// holeRow is a row of the table of holes, the marks of the cursor in the code: each word in each frame, in which %
// stands for the word.
type holeRow struct {
	words, frames []string
	rare          bool // never in ordinary code: a hole in prompts of text completions as well
}

var holeTable = []holeRow{
	{ // Continue, Kilo Code, CodeBRT; CodeLlama
		words:  []string{"FILL_HERE", "FILL_ME", "FILL_THIS"},
		frames: []string{"{{%}}", "{:%:}", "<%>", "[%]", "<|%|>"},
		rare:   true,
	},
	{ // Wingman, monacopilot, Zed, ECA, InCoder
		words: []string{
			"FIM_HOLE", "developer_cursor_is_here", "user_cursor_is_here", "cursor_is_here", "ECA_TAG", "cursor", "CURSOR",
			"mask:0",
		},
		frames: []string{"<|%|>"},
		rare:   true,
	},
	{ // lsp-ai and many others
		words: []string{
			"CURSOR", "CURSOR_HERE", "CURSOR_POSITION", "FILL", "FILL_IN", "HOLE", "MASK", "INFILL", "INSERT_HERE",
			"COMPLETE_HERE", "MISSING_CODE", "MISSING", "BLANK",
		},
		frames: []string{
			"<%>", "</%>", "<%/>", "<% />", "<<%>>", ">>>%<<<", "[%]", "[[%]]", "{{%}}", "/* % */", "/*%*/", "<!-- % -->",
		},
	},
	{ // minuet-ai, monacopilot
		words:  []string{"cursor", "cursorPosition", "cursor_position", "cursor-position", "cursor_here"},
		frames: []string{"<%>", "</%>", "<%/>", "<% />", "<<%>>", "/* % */", "/*%*/", "<!-- % -->"},
	},
	{words: []string{"mask"}, frames: []string{"<%/>"}},                            // Obsidian's Copilot
	{words: []string{"CODE5711"}, frames: []string{codyTag + codyEnd}, rare: true}, // Cody
	{words: []string{"█"}, frames: []string{"%"}},
}

// Cody's tags without content are its hole. Another opening tag begins the answer: what follows it is the end of the
// prefix.
const (
	codyTag = "<CODE5711>"
	codyEnd = "</CODE5711>"
)

// containerNames are the tags around the file that has the hole. A fenced block is one as well.
var containerNames = []string{
	"QUERY", "query", "code", "CODE", "code_file", "codeFile", "file", "file_content", "fileContent", "current_file",
	"current_text", "document", "prompt", "snippet", "code_snippet", "content", "source", "input", "PREFIX", "editor",
}

var (
	anyHole   = newMarks(holeMarks(false))
	rareHole  = newMarks(holeMarks(true))
	container = compileContainers()
)

// holeMarks returns all spellings of holes, or only the rare ones.
func holeMarks(rare bool) (list []string) {
	for _, r := range holeTable {
		for _, frame := range r.frames {
			for _, w := range r.words {
				if r.rare || !rare {
					list = append(list, strings.ReplaceAll(frame, "%", w))
				}
			}
		}
	}
	return list
}

func compileContainers() *regexp.Regexp {
	names := strings.Join(containerNames, "|")
	return regexp.MustCompile("(?m)^[ \t]*(```|~~~)[^\n]*$|<(?:(" + names + `)(?:\s[^<>\n]{0,200})?|/(` + names +
		`)|(beginCode)|(endCode))>`)
}

// cutHole cuts a text at its first hole.
func cutHole(text string) (before, after string, ok bool) {
	if all := findHoles(text, anyHole); len(all) > 0 {
		return text[:all[0][0]], text[all[0][1]:], true
	}
	return text, "", false
}

// findHoles leaves out blocks that stand side by side, such as in a progress bar.
func findHoles(text string, m *marks) [][2]int {
	return slices.DeleteFunc(m.all(text), func(at [2]int) bool {
		beside := strings.HasSuffix(text[:at[0]], "█") || strings.HasPrefix(text[at[1]:], "█")
		return beside && text[at[0]:at[1]] == "█"
	})
}

// parseHole finds the hole in the code. Prompts also mention the mark in their instructions, and have examples before
// the code: it is the last hole in a container, or without containers, the last one that is not in a sentence.
func parseHole(text string, m *marks) (Prompt, bool) {
	holes := findHoles(text, m)
	if len(holes) == 0 {
		return Prompt{}, false
	}
	start, end, hole := 0, 0, holes[len(holes)-1]
	for _, c := range slices.Backward(containers(text)) {
		i := sort.Search(len(holes), func(i int) bool { return holes[i][0] >= c[0] })
		if i < len(holes) && holes[i][1] <= c[1] {
			start, end, hole = c[0], c[1], holes[i]
			break
		}
	}
	if end == 0 {
		for _, h := range slices.Backward(holes) {
			if !isSentence(lineAt(text, h)) {
				hole = h
				break
			}
		}
		start, end = withoutSentences(text, hole)
	}
	prefix, suffix := text[start:hole[0]], text[hole[1]:end]
	if text[hole[0]:hole[1]] == codyTag+codyEnd {
		if i := strings.LastIndex(text, codyTag); i >= hole[1] {
			prefix += text[i+len(codyTag):]
		}
	}
	return Prompt{Prefix: clean(prefix), Suffix: clean(suffix)}, true
}

// containers returns the places of the contents of containers, in the order of their beginning.
func containers(text string) (list [][2]int) {
	open := map[string][]int{}
	for _, m := range container.FindAllStringSubmatchIndex(text, -1) {
		begin, name := true, "code"
		switch {
		case m[2] >= 0: // a fence
			name = text[m[2]:m[3]]
			begin = len(open[name]) == 0
		case m[4] >= 0:
			name = text[m[4]:m[5]]
		case m[6] >= 0:
			begin, name = false, text[m[6]:m[7]]
		case m[10] >= 0:
			begin = false
		}
		if begin {
			open[name] = append(open[name], m[1])
		} else if n := len(open[name]); n > 0 {
			list = append(list, inside(text, open[name][n-1], m[0]))
			open[name] = open[name][:n-1]
		}
	}
	slices.SortFunc(list, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	return list
}

// inside leaves out the line breaks between the tags of a container and its content.
func inside(text string, start, end int) [2]int {
	if strings.HasPrefix(text[start:end], "\n") {
		start++
		if strings.HasSuffix(text[start:end], "\n") {
			end--
		}
	}
	return [2]int{start, end}
}

// lineAt returns the line around a hole.
func lineAt(text string, hole [2]int) string {
	start := strings.LastIndexByte(text[:hole[0]], '\n') + 1
	if i := strings.IndexByte(text[hole[1]:], '\n'); i >= 0 {
		return text[start : hole[1]+i]
	}
	return text[start:]
}

// withoutSentences leaves out the instructions above and below the code.
func withoutSentences(text string, hole [2]int) (start, end int) {
	for start < hole[0] {
		n := strings.IndexByte(text[start:hole[0]], '\n') + 1
		if line := text[start : start+n]; n == 0 || strings.TrimSpace(line) != "" && !isSentence(line) {
			break
		}
		start += n
	}
	for end = len(text); end > hole[1]; {
		i := hole[1] + strings.LastIndexByte(text[hole[1]:end], '\n')
		if line := text[max(i, hole[1]):end]; i < hole[1] || !isSentence(line) {
			break
		}
		end = i
	}
	return start, end
}

// isSentence reports whether a line looks like prose: it begins with a capital letter, and most of its words consist
// of letters. So does a heading ("Code:").
func isSentence(line string) bool {
	line = strings.TrimLeft(line, " \t\r\n-*#>0123456789.)")
	words := strings.Fields(line)
	if len(words) == 0 || !unicode.IsUpper([]rune(words[0])[0]) {
		return false
	}
	heading := strings.HasSuffix(words[len(words)-1], ":")
	plain := 0
	for _, w := range words {
		if strings.IndexFunc(strings.Trim(w, ".,:;!?'\"`()"), func(r rune) bool { return !unicode.IsLetter(r) }) < 0 {
			plain++
		}
	}
	return (plain >= 3 || heading) && plain*4 >= len(words)*3
}
