package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
)

// modelsPrefix is before the id of a model, which may contain slashes (escapeSlashes).
const modelsPrefix = "/v1/models/"

// listModels answers GET /v1/models.
func (s *server) listModels(w http.ResponseWriter, r *http.Request) error {
	models, err := s.models(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, mediaJSON, openai.AppendModels(nil, models))
	return nil
}

// getModel answers GET /v1/models/{model}.
func (s *server) getModel(w http.ResponseWriter, r *http.Request) error {
	id, err := pathParam(r, "model")
	if err != nil {
		return err
	}
	models, err := s.models(r.Context())
	if err != nil {
		return err
	}
	model, err := openai.FindModel(models, id)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, mediaJSON, openai.AppendModel(nil, model))
	return nil
}

// models returns the provider's models. Every error is a *hub.ProviderError.
func (s *server) models(ctx context.Context) ([]hub.Model, error) {
	models, err := s.hub.Models(ctx)
	var p *hub.ProviderError
	if err != nil && !errors.As(err, &p) {
		err = &hub.ProviderError{Status: http.StatusBadGateway, Code: "provider_error", Message: err.Error()}
	}
	return models, err
}
