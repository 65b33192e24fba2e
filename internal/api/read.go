package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxETags is how long the header If-None-Match may be, in bytes.
const maxETags = 1000

// valueJSON is the value of a secret on its way to a client.
type valueJSON struct {
	Name    string       `json:"name"`
	Value   string       `json:"value"`
	Version *int64       `json:"version"`
	Source  vault.Source `json:"source"`
}

// newValueJSON takes the clear text of a value. What is not UTF-8 would be
// another value after its way through JSON.
func newValueJSON(name string, found vault.Found) (valueJSON, error) {
	v := valueJSON{Name: name, Value: found.Value.Reveal(), Version: versionOrNull(found.Version), Source: found.Source}
	if !utf8.ValidString(v.Value) {
		return valueJSON{}, fmt.Errorf("%w: it is not UTF-8 text, and JSON cannot hold it", secrets.ErrIntegrity)
	}
	return v, nil
}

func versionOrNull(version int64) *int64 {
	if version == 0 {
		return nil
	}
	return &version
}

// read answers with the value of one secret.
func (s *site) read(w http.ResponseWriter, r *request) error {
	name, err := r.name()
	if err == nil {
		err = r.forActor()
	}
	if err != nil {
		return err
	}
	unchanged, tag, err := s.unchanged(r, name)
	if err != nil {
		return err
	}
	if unchanged {
		w.Header().Set("Etag", tag)
		writeEmpty(w, http.StatusNotModified)
		return nil
	}
	found, err := s.Vault.Get(r.Context(), r.caller, name)
	if err != nil {
		return err
	}
	v, err := newValueJSON(name, found)
	if err != nil {
		return err
	}
	if tag := s.etagOf(found.Source, found.Version); tag != "" {
		w.Header().Set("Etag", tag)
	}
	writeJSON(w, http.StatusOK, encode(v))
	return nil
}

// unchanged reports whether a client has the value already, that it may read,
// and by which ETag. That is no use of the value.
func (s *site) unchanged(r *request, name string) (is bool, tag string, err error) {
	had := r.Header.Get("If-None-Match")
	if len(had) > maxETags {
		return false, "", fmt.Errorf("%w: If-None-Match has more than %d bytes", secrets.ErrInvalid, maxETags)
	}
	if had == "" {
		return false, "", nil
	}
	source, version, err := s.Vault.Standing(r.Context(), r.caller, name)
	if err != nil {
		return false, "", nil // Get finds out the same, and records it
	}
	tag = s.etagOf(source, version)
	return tag != "" && hasETag(had, tag), tag, nil
}

// hasETag reports whether a list of ETags has one, or is "*".
func hasETag(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// etagOf names what a value is, as long as it does not change; empty if that is
// not known without reading it. The environment stays while a process runs.
func (s *site) etagOf(source vault.Source, version int64) string {
	switch source {
	case vault.SourceDatabase:
		return etag(version)
	case vault.SourceEnvironment:
		return `"env-` + s.instance + `"`
	}
	return ""
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// names is the body of a question about several secrets.
type names struct {
	Names []string `json:"names"`
}

func (r *request) names() ([]string, error) {
	if err := r.forActor(); err != nil {
		return nil, err
	}
	var n names
	if err := r.decode(&n); err != nil {
		return nil, err
	}
	if len(n.Names) == 0 || len(n.Names) > vault.MaxBatch {
		return nil, fmt.Errorf("%w: names should have 1 to %d names", secrets.ErrInvalid, vault.MaxBatch)
	}
	return n.Names, vault.CheckNames(n.Names)
}

// failureJSON stands in the place of a value that cannot be read.
type failureJSON struct {
	Name  string `json:"name"`
	Code  code   `json:"code"`
	Error string `json:"error"`
}

// batch answers with the values of several secrets.
func (s *site) batch(w http.ResponseWriter, r *request) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	found, err := s.Vault.GetMany(r.Context(), r.caller, names)
	if err != nil {
		return err
	}
	results := make([]any, len(found))
	for i, f := range found {
		value, err := valueJSON{}, f.Err
		if err == nil {
			value, err = newValueJSON(f.Name, f.Found)
		}
		if results[i] = value; err != nil {
			p, known := explain(err)
			if !known {
				return err
			}
			results[i] = failureJSON{f.Name, p.code, p.text}
		}
	}
	writeJSON(w, http.StatusOK, encode(map[string]any{"results": results}))
	return nil
}

// accessJSON says whether a secret may be read.
type accessJSON struct {
	Name    string `json:"name"`
	Allowed bool   `json:"allowed"`
}

// canAccess says which secrets the client may read, for an actor.
func (s *site) canAccess(w http.ResponseWriter, r *request) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	answers := make([]accessJSON, len(names))
	for i, name := range names {
		allowed, err := s.Vault.CanAccess(r.Context(), r.caller, name)
		if err != nil {
			return err
		}
		answers[i] = accessJSON{name, allowed}
	}
	writeJSON(w, http.StatusOK, encode(map[string]any{"access": answers}))
	return nil
}
