package log

// ResetReason says why a position could not be resumed exactly: the reason of the schema Reset of openapi.yaml.
type ResetReason string

// The reasons.
const (
	ResetEpoch   ResetReason = "epoch"   // of an epoch of which the log knows nothing
	ResetTrimmed ResetReason = "trimmed" // the entries after it are no longer kept
	ResetAhead   ResetReason = "ahead"   // beyond the newest entry
)

// Reset tells a reader that it does not get what follows the position it asked for, but what follows From.
type Reset struct {
	Reason    ResetReason
	Requested string
	From      Position
}
