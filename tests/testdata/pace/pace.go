// Package pace times calls, from one caller or many at once.
package pace

import (
	"slices"
	"sync"
	"time"
)

// Figures are what so many calls took.
type Figures struct {
	Calls int
	Total time.Duration // from the first call to the end of the last
	P99   time.Duration // that one in a hundred calls took longer than
}

// Run makes calls, shared among callers who make theirs one after the other.
func Run(callers, calls int, call func() error) (Figures, error) {
	callers = max(1, callers)
	each := max(1, calls/callers)
	took := make([]time.Duration, callers*each)
	errs := make([]error, callers)
	var all sync.WaitGroup
	began := time.Now()
	for c := range callers {
		all.Go(func() {
			for i := range each {
				start := time.Now()
				if errs[c] = call(); errs[c] != nil {
					return
				}
				took[c*each+i] = time.Since(start)
			}
		})
	}
	all.Wait()
	total := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return Figures{}, err
		}
	}
	slices.Sort(took)
	return Figures{Calls: len(took), Total: total, P99: took[len(took)*99/100]}, nil
}
