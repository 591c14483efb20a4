// Package meter has counters and histograms that are cheap enough for hot paths. Readers take snapshots. The package
// does not know how the figures are exported.
package meter
