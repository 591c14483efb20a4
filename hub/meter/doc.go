// Package meter counts what happens, cheaply enough for hot paths, and lets others look: what is counted is told by snapshots. It knows nothing of
// how the figures are shown.
package meter
