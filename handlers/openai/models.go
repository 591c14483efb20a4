package openai

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/nearest"
)

// AppendModels appends the answer of GET /v1/models: {"object":"list","data":[…]} with an AppendModel for each.
func AppendModels(dst []byte, models []hub.Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendModel(dst, &models[i])
	}
	return append(dst, `]}`...)
}

// AppendModel appends one model: the upstream's members unchanged and in their order, then those of
// {"id","object":"model","created","owned_by"} that it lacks.
func AppendModel(dst []byte, m *hub.Model) []byte {
	dst = append(dst, '{')
	has := make(map[string]bool, 8)
	for name, value := range jsonw.Members(m.Raw) {
		dst = append(jsonw.AppendKey(dst, name), value...)
		has[string(name)] = true
	}
	if !has["id"] {
		dst = jsonw.AppendString(jsonw.AppendKey(dst, "id"), m.ID)
	}
	if !has["object"] {
		dst = append(jsonw.AppendKey(dst, "object"), `"model"`...)
	}
	if !has["created"] {
		dst = strconv.AppendInt(jsonw.AppendKey(dst, "created"), m.Created, 10)
	}
	if !has["owned_by"] {
		dst = jsonw.AppendString(jsonw.AppendKey(dst, "owned_by"), m.OwnedBy)
	}
	return append(dst, '}')
}

// FindModel returns the model with this id. Error: a *hub.ProviderError with status 404, OpenAI's code
// "model_not_found", and a message that names the most similar id.
func FindModel(models []hub.Model, id string) (*hub.Model, error) {
	for i := range models {
		if models[i].ID == id {
			return &models[i], nil
		}
	}
	message := fmt.Sprintf("there is no model %q", clip(id))
	if near := nearestModel(models, id); near != "" {
		message += "; did you mean " + near + "?"
	} else {
		message += "; GET /v1/models lists those that there are"
	}
	return nil, &hub.ProviderError{
		Status: http.StatusNotFound, Code: "model_not_found", Type: "invalid_request_error", Message: message,
	}
}

// maxModelID is the longest id, in bytes, for which a similar one is looked for. Of a longer one, errors quote so much.
const maxModelID = 200

// clip shortens an id that is too long to be one.
func clip(id string) string {
	if len(id) <= maxModelID {
		return id
	}
	return strings.ToValidUTF8(id[:maxModelID], "") + "…"
}

// nearestModel returns the most similar id, the first of several, or "". The same name with another publisher, or with
// none, is the most similar: openai/gpt-4o and gpt-4o.
func nearestModel(models []hub.Model, id string) (best string) {
	if len(id) > maxModelID {
		return ""
	}
	got, least := strings.ToLower(id), math.MaxInt
	for i := range models {
		known := strings.ToLower(models[i].ID)
		distance := nearest.Distance(got, known)
		if lastSegment(got) == lastSegment(known) {
			distance = 0
		}
		if distance <= min(len(got), len(known))/3 && distance < least {
			best, least = models[i].ID, distance
		}
	}
	return best
}

func lastSegment(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }
