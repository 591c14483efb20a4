package openai

import "github.com/duckwire/duckwire/hub"

// DecodeModels decodes a list of models.
func DecodeModels(list []byte) ([]hub.Model, error) { return new(Provider).decodeModels(list) }
