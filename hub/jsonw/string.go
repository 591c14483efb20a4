// Package jsonw appends JSON to byte slices.
package jsonw

import "encoding/json"

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s)
	return append(dst, b...)
}
