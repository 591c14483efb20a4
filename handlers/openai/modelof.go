package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/duckwire/duckwire/hub/jsonw"
)

const (
	maxFormParts = 100 // of a form that are searched for the model
	maxModelName = 1024
)

// ModelOf returns the model that a request names: the member "model" of a JSON object, or the field of that name in a
// multipart form. It returns "" if there is none, or the body is neither.
func ModelOf(contentType string, body []byte) string {
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && media == "multipart/form-data" {
		return modelOfForm(body, params["boundary"])
	}
	if err != nil || !strings.HasSuffix(media, "json") || !json.Valid(body) {
		return ""
	}
	model := ""
	for name, value := range jsonw.Members(body) {
		if string(name) == "model" {
			model, _ = jsonw.String(value)
		}
	}
	return model
}

func modelOfForm(body []byte, boundary string) string {
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxFormParts {
		part, err := form.NextPart()
		if err != nil {
			return ""
		}
		if part.FormName() != "model" || part.FileName() != "" {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(part, maxModelName))
		if err != nil && !errors.Is(err, io.EOF) {
			return ""
		}
		return strings.ToValidUTF8(string(name), "\ufffd")
	}
	return ""
}
