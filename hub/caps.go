package hub

// Caps is a parsed set of capabilities.
type Caps struct{ grants []grant }
type grant struct{}

// ValidTopic is being written.
func ValidTopic(s string) error {
	if s == "" || len(s) > 255 {
		return Invalid("topic", "must be 1 to 255 bytes")
	}
	return nil
}
