package predict

// Bounds on the work for one request. They make the cost of a request independent of its size.
const (
	MaxPrefix = 192 << 10 // bytes before the cursor that are looked at, the nearest ones
	MaxSuffix = 48 << 10  // bytes after the cursor that are looked at
	MaxExtra  = 96 << 10  // bytes of other text in the request (earlier chat messages)

	maxWord    = 200   // bytes of one token; longer words are cut
	maxSpaces  = 200   // spaces before a token that belong to it
	maxBlank   = 1000  // bytes of one run of white space with newlines
	maxChain   = 24    // places looked at per index order
	maxCands   = 80    // places aligned per token
	maxAlign   = 64    // tokens walked back per alignment
	maxPairs   = 24    // substitutions remembered per alignment
	maxVocab   = 30000 // tokens searched for the rest of a half-typed word
	maxLine    = 120   // tokens generated in one line
	maxLines   = 24    // lines generated in one completion
	warmTokens = 48    // tokens before the cursor that the predictor is tried on first, to see how repetitive the text is
)
