package openai

import (
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// AppendModels appends the answer of GET /v1/models:
// {"object":"list","data":[{"id","object":"model","created","owned_by"}]}.
func AppendModels(dst []byte, models []hub.Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = jsonw.AppendString(dst, models[i].ID)
		dst = append(dst, `,"object":"model","created":`...)
		dst = strconv.AppendInt(dst, models[i].Created, 10)
		dst = append(dst, `,"owned_by":`...)
		dst = jsonw.AppendString(dst, models[i].OwnedBy)
		dst = append(dst, '}')
	}
	return append(dst, `]}`...)
}
