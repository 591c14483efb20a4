package predict

// The weights of the two logistic scorers, fitted by "go run ./hub/provider/local/eval -fit" on the Go standard library.
var proposalWeights = [fCount]float32{fBias: -2, fLit: 3, fShape: 1, fLit4: 0.5, fClash: -1}

var groupWeights = [gCount]float32{gBias: -2, gBest: 2, gShare: 3}
