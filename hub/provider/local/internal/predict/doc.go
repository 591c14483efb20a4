// Package predict continues source code from the text around the cursor, without a neural model.
//
// Text is split into tokens (token.go). Every place in it is indexed by the few tokens before it, its context, in two
// forms: literally, and by shape, where all names are equal (index.go). To predict the next token, places whose
// context resembles the cursor's are aligned with the cursor, walking backwards (align.go). Each alignment yields a
// substitution of names and numbers, which is applied to the token that followed there (analogy.go). The resulting
// proposals are scored and grouped (score.go). Text is generated line by line for as long as it is probably right
// (complete.go, rules.go), and does not repeat the text after the cursor (join.go).
//
// Nothing is random: equal inputs give equal outputs. The constants in limits.go bound all work, whatever the input.
package predict
