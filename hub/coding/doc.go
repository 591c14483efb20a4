// Package coding decides what models are asked about code and what their answers mean: prompts for code to be written
// or rewritten, the code in an answer, where two texts differ, cursors as editors count them, and what an analysis has
// found as a whole. It knows no socket and no HTTP.
package coding
