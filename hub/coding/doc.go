// Package coding builds the prompts for code generation and refactoring, and interprets the answers: the code in an
// answer, the difference of two texts, cursors as editors count them, and the combined result of an analysis. It does
// no I/O.
package coding
