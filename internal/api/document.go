package api

import _ "embed" // openapi.json is embedded

// document is the OpenAPI description of this package's routes, which tests
// hold against the table of routes and of errors.
//
//go:embed openapi.json
var document []byte
