// Package predict continues source code from the text around the cursor, without a neural model.
//
// Text is cut into tokens (token.go) and every place in it is indexed by the few tokens before it, both as they stand (literal) and as
// mere shapes, where all names are alike (index.go). To predict the next token, the places whose past resembles the cursor's past are
// aligned with it, walking backwards (align.go); each alignment yields a substitution of names and numbers, which is applied to the token
// that followed there (analogy.go). The proposals are weighed and grouped (score.go), and text is made line by line for as long as it is
// probably right (generate.go) and does not repeat what stands after the cursor (join.go).
//
// Nothing is random: equal inputs give equal outputs. All work is bounded by the constants in limits.go, whatever the input.
package predict
