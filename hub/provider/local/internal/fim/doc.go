// Package fim finds the code around the cursor in the prompts that editor plugins render (fill in the middle).
//
// Plugins render prefix and suffix into one text in four ways. Each way is a table here, so that a new form is a line
// of data:
//
//   - the templates of model families, such as <|fim_prefix|>P<|fim_suffix|>S<|fim_middle|> (templates.go), with other
//     files of the project between file markers (files.go);
//   - sections for chat models, such as <code_prefix>P</code_prefix><code_suffix>S</code_suffix> (sections.go);
//   - a hole in the code for chat models, such as P{{FILL_HERE}}S (holes.go);
//   - headings for chat models, such as "Code before the cursor:" (headings.go).
//
// The functions are pure, and their cost grows at most with n log n of the text's length.
package fim

// Prompt is what a plugin's prompt asks for: the code between Prefix and Suffix. Both may be empty.
type Prompt struct {
	Prefix, Suffix string
	Before         string   // the text in front of a template: instructions, or the beginning of the file
	Files          []string // other files of the project, the nearest last
	Nothing        string   // the answer that means "nothing to propose"; nearly always ""
}
