// Package api is how applications outside the host read their secrets over
// HTTP. openapi.json says what can be asked.
package api

// Document is the OpenAPI description.
func Document() []byte { return document }
