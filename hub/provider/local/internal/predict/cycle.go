package predict

// Lists like 0x00, 0x00, 0x00 have no predictable end, so repetition within a line ends it.
const (
	maxPeriod  = 8 // maximum length of a period in tokens
	sameTwice  = 2 // a period that occurs so often, token for token, ends the line
	alikeTimes = 4 // a period that occurs so often by shape ends the line
)

// cycles reports whether the last n tokens of d repeat themselves. Periods of one token are allowed, because of
// closing brackets.
func (d *Doc) cycles(n int) bool {
	for k := 2; k <= maxPeriod; k++ {
		if n >= k*sameTwice && d.period(k, k*(sameTwice-1), false) ||
			n >= k*alikeTimes && d.period(k, k*(alikeTimes-1), true) {
			return true
		}
	}
	return false
}

// period reports whether each of the last n tokens equals the one k before it.
func (d *Doc) period(k, n int, shape bool) bool {
	for i := len(d.toks) - n; i < len(d.toks); i++ {
		a, b := &d.toks[i], &d.toks[i-k]
		if a.shape != b.shape || !shape && a.hash != b.hash {
			return false
		}
	}
	return true
}
