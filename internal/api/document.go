package api

import (
	_ "embed" // openapi.json is embedded
	"net/http"
)

// document is the OpenAPI description.
//
//go:embed openapi.json
var document []byte

// Document returns the OpenAPI description.
func Document() []byte { return document }

// serveDocument answers with it. Its address is for everybody.
func (s *site) serveDocument(w http.ResponseWriter, _ *request) error {
	setForBrowsers(w.Header())
	writeJSON(w, http.StatusOK, document)
	return nil
}
