package vault

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Limits of GetMany. A message to a plugin may have 4 MiB, of which the names
// need a little.
const (
	MaxBatch      = 100            // names
	MaxBatchBytes = 4<<20 - 64<<10 // of all values together
)

// Result is a value, or why there is none.
type Result struct {
	Name  string
	Found Found
	Err   error // of those that Get returns; nil if there is a value
}

// GetMany is Get for at most MaxBatch names, with one result for each, in their
// order. Every value that is found counts as used, and all uses and refusals
// are recorded in one transaction before the first value is returned.
//
// An error means that nothing was read or that nothing could be recorded. It is
// ErrInvalid for too many names and for values that are too large together.
func (v *Vault) GetMany(ctx context.Context, caller secrets.Caller, names []string) ([]Result, error) {
	if len(names) > MaxBatch {
		return nil, fmt.Errorf("%w: %d names are asked for at once, at most %d are allowed", secrets.ErrInvalid, len(names), MaxBatch)
	}
	if len(names) == 0 {
		return nil, nil
	}
	q := question{uses: make([]use, len(names)), limit: MaxBatchBytes}
	for i, name := range names {
		q.uses[i] = v.newUse(caller, name)
	}
	if err := v.ask(ctx, &q); err != nil {
		return nil, err
	}
	results := make([]Result, len(names))
	for i, name := range names {
		u := &q.uses[i]
		if results[i] = (Result{Name: name, Err: u.err}); u.err == nil {
			results[i].Found = u.found()
		}
	}
	return results, nil
}
