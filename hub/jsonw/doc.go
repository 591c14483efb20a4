// Package jsonw writes and walks JSON as bytes, without reflection. Hot paths use it instead of encoding/json. Its
// functions keep no reference to their arguments unless their comment says so.
package jsonw
