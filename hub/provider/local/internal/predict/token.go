package predict

import (
	"unicode"
	"unicode/utf8"
)

// kind is the type of a token.
type kind uint8

const (
	kindBarrier kind = iota // between two texts; nothing is predicted across it
	kindWord                // a name
	kindKeyword
	kindNumber // decimal digits only
	kindPunct  // one rune of any other text
	kindLine   // white space with newlines: a line's end and the next line's indentation
	kindSpace  // spaces at the end of a text
)

// token is a piece of a text, with the spaces before it. How many spaces there are does not count for equality.
type token struct {
	hash  uint32 // hash of the core, and of whether spaces precede it
	shape uint32 // hash that is equal for all names, for all numbers, and for all indentations
	off   uint32 // offset in the text, spaces included
	size  uint16 // bytes, spaces included
	sp    uint8  // spaces before the core
	kind  kind
}

const (
	shapeWord   = 0x9e3779b1
	shapeNumber = 0x85ebca6b
	shapeLine   = 0xc2b2ae35
	shapeBlank  = 0x27d4eb2f
)

// lex parses the first token of b, which must not be empty. The token's off is 0. lex never splits a UTF-8 sequence.
func lex(b []byte) token {
	sp := spaces(b)
	if sp == len(b) || sp == maxSpaces {
		return finish(b, token{size: uint16(sp), kind: kindSpace})
	}
	if b[sp] == '\n' || b[sp] == '\r' {
		return lexLine(b)
	}
	t := token{sp: uint8(sp)}
	r, n := utf8.DecodeRune(b[sp:])
	switch {
	case isWord(r):
		n, t.kind = lexWord(b[sp:])
	default:
		t.kind = kindPunct
	}
	t.size = uint16(sp + n)
	return finish(b, t)
}

// lexLine parses white space with newlines: "  \n\n\t\t".
func lexLine(b []byte) token {
	i := 0
	for i < len(b) && i < maxBlank && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return finish(b, token{size: uint16(i), kind: kindLine})
}

// lexWord returns the length of a name, keyword or number, and its kind.
func lexWord(b []byte) (int, kind) {
	k, i := kindNumber, 0
	for i < len(b) && i < maxWord {
		r, n := utf8.DecodeRune(b[i:])
		if !isWord(r) {
			break
		}
		if r < '0' || r > '9' {
			k = kindWord
		}
		i += n
	}
	if k == kindWord && keywords[string(b[:i])] {
		k = kindKeyword
	}
	return i, k
}

func spaces(b []byte) int {
	i := 0
	for i < len(b) && i < maxSpaces && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r))
}

// finish sets the hashes of a token that begins at b[0].
func finish(b []byte, t token) token {
	h := uint32(2166136261)
	for _, c := range b[t.sp:t.size] {
		h = (h ^ uint32(c)) * 16777619
	}
	core := h
	if t.sp > 0 {
		h = (h ^ spaced) * 16777619
	}
	t.hash = h
	switch t.kind {
	case kindWord:
		t.shape = shapeWord
	case kindNumber:
		t.shape = shapeNumber
	case kindLine, kindSpace:
		t.shape = shapeLine
		if newlines(b[:t.size]) > 1 {
			t.shape = shapeBlank
		}
	default:
		t.shape = core
	}
	return t
}

// spaced is mixed into the hash of a token with spaces before it.
const spaced = 0x5bd1e995

// bare returns the hash of the token's core alone.
func (t *token) bare() uint32 {
	if t.sp == 0 {
		return t.hash
	}
	return t.hash*899433627 ^ spaced // the inverse of 16777619 modulo 2^32
}

func newlines(b []byte) int {
	n := 0
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	return n
}

// keywords are words with shapes of their own, from the most common languages.
var keywords = set(`
	and as async await begin bool boolean break byte case catch char class const continue def default defer del delete
	do double elif else elsif end enum except export extends extern false final finally float fn for foreach from func
	function go goto if impl implements import in include instanceof int int32 int64 interface is lambda let long loop
	map match mod module mut namespace new nil none None not null object of or override package pass private protected
	pub public raise range ref require return self Self select short signed sizeof static string String struct super
	switch template then this throw throws trait true True False try type typedef typeof uint uint32 uint64 union
	unless unsigned until use using val var virtual void volatile when where while with yield err error SELECT FROM
	WHERE INSERT INTO VALUES`)
