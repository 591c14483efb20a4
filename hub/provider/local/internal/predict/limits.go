package predict

// Limits of the work for one request. They make its cost independent of its size.
const (
	MaxPrefix = 192 << 10 // bytes used before the cursor, the nearest ones
	MaxSuffix = 48 << 10  // bytes used after the cursor
	MaxExtra  = 96 << 10  // bytes used of other text in the request (earlier chat messages)

	maxWord    = 200   // bytes of one token; longer words are split
	maxSpaces  = 200   // spaces before a token that belong to it
	maxBlank   = 1000  // bytes of one white-space token with newlines
	maxChain   = 24    // places per index order
	maxCands   = 80    // places aligned per token
	maxAlign   = 64    // tokens walked back per alignment
	maxPairs   = 24    // substitutions per alignment
	maxVocab   = 30000 // tokens searched for completions of an incomplete word
	maxLine    = 120   // tokens generated in one line
	maxLines   = 24    // lines generated in one completion
	warmTokens = 48    // tokens before the cursor on which the predictor is tested, to see how predictable the text is
)
