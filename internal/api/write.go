package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// condition reads how the client says that the secret stands. mayCreate allows
// it to say that the secret is not set.
func condition(r *request, mayCreate bool) (vault.Condition, error) {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	_, matching := r.Header["If-Match"]
	switch {
	case matching && match == "":
		return vault.Condition{}, fmt.Errorf("%w: If-Match is empty", secrets.ErrInvalid)
	case match != "" && none == "*":
		return vault.Condition{Version: never}, nil // no secret is set and not set
	case none == "*" && mayCreate:
		return vault.Condition{}, nil
	case none != "":
		return vault.Condition{}, fmt.Errorf("%w: If-None-Match should be *, for a secret that is not set", secrets.ErrInvalid)
	case match == "":
		return vault.Condition{}, errPrecondition()
	case match == "*":
		return vault.Condition{Any: true}, nil
	}
	version, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
	if err != nil || version < 1 || etag(version) != match {
		version = never // it is no ETag of ours
	}
	return vault.Condition{Version: version}, nil
}

// never is a version that no secret has.
const never = -1

// newValue is the body of a write.
type newValue struct {
	Value *string `json:"value"`
	Note  string  `json:"note"`
}

// write creates or updates a secret.
func (s *site) write(w http.ResponseWriter, r *request) error {
	name, err := r.name()
	if err == nil {
		err = r.forActor()
	}
	if err != nil {
		return err
	}
	c, err := condition(r, true)
	if err != nil {
		return err
	}
	var body newValue
	if err := r.decode(&body); err != nil {
		return err
	}
	if body.Value == nil {
		return errJSON("lacks the field value")
	}
	version, err := s.Vault.PutIf(r.Context(), r.caller, name, secrets.NewValue(*body.Value), body.Note, c)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if c == (vault.Condition{}) {
		status = http.StatusCreated
	}
	w.Header().Set("ETag", etag(version))
	writeJSON(w, status, encode(map[string]any{"name": name, "version": version}))
	return nil
}

// delete unsets a secret.
func (s *site) delete(w http.ResponseWriter, r *request) error {
	name, err := r.name()
	if err == nil {
		err = r.forActor()
	}
	if err != nil {
		return err
	}
	c, err := condition(r, false)
	if err != nil {
		return err
	}
	if err := s.Vault.DeleteIf(r.Context(), r.caller, name, c); err != nil {
		return err
	}
	writeEmpty(w, http.StatusNoContent)
	return nil
}
