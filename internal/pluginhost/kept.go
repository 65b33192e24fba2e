package pluginhost

import (
	"sync"
	"time"
)

const (
	keptFor     = 5 * time.Second
	keptAnswers = 256      // answers of one hook of one plugin
	maxQuery    = 16 << 10 // bytes of a question whose answer is kept
)

// kept keeps answers of a plugin for a few seconds, so that not every page has
// to ask for them.
type kept[T any] struct {
	mu      sync.Mutex
	answers map[string]dated[T]
}

type dated[T any] struct {
	value T
	until time.Time
}

func newKept[T any]() *kept[T] { return &kept[T]{answers: map[string]dated[T]{}} }

// get returns the answer to a question, if there is a fresh one.
func (k *kept[T]) get(question string, now time.Time) (value T, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	answer, ok := k.answers[question]
	if !ok || !now.Before(answer.until) {
		return value, false
	}
	return answer.value, true
}

// put keeps an answer. When there are too many, all others are forgotten.
func (k *kept[T]) put(question string, value T, now time.Time) {
	if len(question) > maxQuery {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.answers) >= keptAnswers {
		clear(k.answers)
	}
	k.answers[question] = dated[T]{value, now.Add(keptFor)}
}
