package log

// ResetReason says why a position could not be resumed exactly: the reason of the schema Reset of openapi.yaml.
type ResetReason string

// The reasons.
const (
	ResetEpoch   ResetReason = "epoch"   // it is of an epoch that the log does not remember
	ResetTrimmed ResetReason = "trimmed" // entries after it were trimmed
	ResetAhead   ResetReason = "ahead"   // it is beyond the newest entry
)

// Reset says that a reader gets the entries after From, and not those after the position that it requested.
type Reset struct {
	Reason    ResetReason
	Requested string
	From      Position
}
