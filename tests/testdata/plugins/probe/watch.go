package main

import (
	"context"
	"slices"
	"sync"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// changes collects what the host tells of all secrets, from the first question
// on.
type changes struct {
	begin sync.Once
	mu    sync.Mutex
	all   []pluginapi.Change
	err   error
}

func (c *changes) soFar(ctx context.Context, host pluginapi.Host) ([]pluginapi.Change, error) {
	c.begin.Do(func() { go c.collect(ctx, host) })
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all), c.err
}

func (c *changes) collect(ctx context.Context, host pluginapi.Host) {
	for change, err := range host.Watch(ctx) {
		c.mu.Lock()
		if c.err = err; err == nil {
			c.all = append(c.all, change)
		}
		c.mu.Unlock()
	}
}
