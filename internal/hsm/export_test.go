package hsm

import (
	"io"

	"github.com/datasette-secrets/datasette-secrets/internal/token"
)

// ReadAnswers is what a host makes of what a helper writes.
func ReadAnswers(r io.Reader) (token.Result, token.Stage, error) { return readAnswers(r) }
