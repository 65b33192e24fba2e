package pluginhost

import (
	"context"
	"fmt"
	"time"
)

// guard runs f, which may be go-plugin's, on a goroutine of its own: it turns
// a panic into an error and gives up waiting after limit or when ctx ends.
// Then f still runs, so what it writes may be looked at only after guard
// returned its result.
func guard(ctx context.Context, limit time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- recovered(f) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recovered runs f. What a panic carries may come from the plugin, so that
// only its type is kept.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic of type %T", p)
		}
	}()
	return f()
}
