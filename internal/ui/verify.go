package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxVerify bounds how long a page waits for a verification of the log: less
// than the server waits for the page.
const maxVerify = 45 * time.Second

// standing is what is known of the log as a whole.
type standing struct {
	Shown     bool // to those who may see the whole log
	Relaxed   bool // answers do not wait for the disk
	Head      when // when the newest head was signed; empty: none was yet
	HeadSize  int64
	HeadText  string // signed
	HeadFails bool   // it is not what was written
	Verified  when   // the last time; empty: not since the host started
	Entries   int64  // that were verified
	Pruned    int64  // of them
	Problems  []string
	Action    string // where the form goes
}

// checked is the last verification of the log since the host started.
type checked struct {
	mu      sync.Mutex
	running bool
	when    time.Time
	by      string
	result  vault.LogCheck
}

// begin reports whether no other verification is under way, and counts as one
// until end.
func (c *checked) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		return false
	}
	c.running = true
	return true
}

func (c *checked) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
}

func (c *checked) keep(when time.Time, by string, result vault.LogCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.when, c.by, c.result = when, by, result
}

// standing tells of the log as a whole, if who asks may know.
func (s *site) standing(r *request) (standing, error) {
	head, err := s.Vault.LogHead(r.Context(), r.caller)
	if errors.Is(err, secrets.ErrDenied) {
		return standing{}, nil
	}
	if err != nil && !errors.Is(err, secrets.ErrIntegrity) {
		return standing{}, err
	}
	st := standing{
		Shown: true, Relaxed: s.Vault.Relaxed(), HeadFails: err != nil, Action: s.url(logPath + "/verify"),
		Head: newWhen(toSeconds(head.Time), ""), HeadSize: head.Size, HeadText: head.Signed,
	}
	s.verified.mu.Lock()
	defer s.verified.mu.Unlock()
	st.Verified = whenTime(s.verified.when, s.verified.by)
	st.Entries, st.Pruned = s.verified.result.Entries, s.verified.result.Pruned
	if doubt := s.verified.result.Doubt; doubt != "" {
		st.Problems = append(st.Problems, doubt)
	}
	for _, problem := range s.verified.result.Bad {
		st.Problems = append(st.Problems, problem.String())
	}
	return st, nil
}

// verifyLog verifies the whole log and keeps the result for the page. One
// verification at a time is enough for everybody.
func (s *site) verifyLog(w http.ResponseWriter, r *request) error {
	if !s.verified.begin() {
		r.flash(signing.Warning, "The log is being verified already")
		return s.redirect(w, r, s.url(logPath))
	}
	defer s.verified.end()
	ctx, cancel := context.WithTimeout(r.Context(), maxVerify)
	defer cancel()
	result, err := s.Vault.VerifyLog(ctx, r.caller, nil, nil)
	switch {
	case errors.Is(err, secrets.ErrUnavailable) && ctx.Err() != nil:
		r.flash(signing.Warning, "Verifying takes longer than a page can wait; use the command: datasette-secrets audit verify")
		return s.redirect(w, r, s.url(logPath))
	case err != nil:
		return err
	}
	s.verified.keep(s.Now(), r.caller.Actor.ID(), result)
	if n := len(result.Bad); n > 0 {
		s.Log.Error("the log is not as it was written", "problems", n, "first", result.Bad[0].String())
		r.flash(signing.Error, fmt.Sprintf("The log is not as it was written: %d %s", n, plural(n, "problem")))
	} else {
		r.flash(signing.Info, fmt.Sprintf("The log is as it was written. Entries: %d", result.Entries))
	}
	return s.redirect(w, r, s.url(logPath))
}

// toLog leads those who reload the address of the form back.
func (s *site) toLog(w http.ResponseWriter, r *request) error {
	return s.redirect(w, r, s.url(logPath))
}

// toSeconds takes the milliseconds off a time of the log.
func toSeconds(text string) string { return text[:min(len(text), len(storedTime))] }
