package api

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Of strangers, so many refusals are recorded at once, and in a second in the
// long run: the log must not grow as fast as anybody can send requests.
const (
	strangersBurst = 200
	strangersRate  = 2
)

// journal decides which refusals of strangers are recorded. Those that are not
// are counted, and the next one that is tells how many there were.
type journal struct {
	now   func() time.Time
	state *journalState
}

type journalState struct {
	sync.Mutex
	limiter *rate.Limiter
	left    int
}

func newJournal(now func() time.Time) journal {
	return journal{now: now, state: &journalState{limiter: rate.NewLimiter(strangersRate, strangersBurst)}}
}

// take tells whether a refusal is to be recorded, and how many were not.
func (j journal) take() (record bool, left int) {
	j.state.Lock()
	defer j.state.Unlock()
	if !j.state.limiter.AllowN(j.now(), 1) {
		j.state.left++
		return false, 0
	}
	left, j.state.left = j.state.left, 0
	return true, left
}

// recordRefusal keeps in the log what was refused before the vault was asked.
// It returns the error that is told: the same, or that it could not be kept.
func (s *site) recordRefusal(r *request, err error) error {
	if recordedElsewhere(err) {
		return err
	}
	action, told := vault.ActionRequest, err
	if r.caller.Client == "" {
		action = vault.ActionSignIn
	}
	if r.caller.Client == "" || errors.As(err, new(*later)) {
		record, left := s.journal.take()
		if !record {
			return err
		}
		if left > 0 {
			told = fmt.Errorf("%w (and %d more requests were refused that are not recorded)", err, left)
		}
	}
	name, _ := r.name() // of most addresses there is none
	if kept := s.Vault.NoteRefused(r.Context(), r.caller, action, name, told); !errors.Is(kept, told) {
		return kept
	}
	return err
}

// recordedElsewhere reports whether the vault has recorded an error, or there is
// nothing to record: what is wrong inside this host is no refusal.
func recordedElsewhere(err error) bool {
	if own := new(problem); errors.As(err, &own) {
		return false
	}
	return !errors.Is(err, secrets.ErrInvalid)
}
