// Package jsonw writes and walks JSON as bytes, without reflection: what hot paths use in place of encoding/json. It is pure; nothing in it
// keeps a reference to its arguments unless said.
package jsonw
