// Command reader is a plugin that reads secrets as fast as it can, from many
// goroutines, and notes each answer in a file. Its block of the configuration
// says how many and where:
//
//	plugins:
//	  reader: {readers: 48, life: "7", notes: /path/of/notes}
//
// A note is a line "ACTOR NAME VALUE". Each actor reads once: the life, the
// number of the goroutine and that of the read make its id. The line is written
// at once, so that it is there although the plugin is killed: what is noted was
// answered. A read that fails is noted as "- ACTOR NAME ERROR".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

func main() { pluginapi.Serve(&reader{}) }

type reader struct{}

type configuration struct {
	Readers int
	Life    string
	Notes   string
}

// names are the secrets that it reads.
func names() []string { return []string{"ONE", "TWO", "THREE", "FOUR"} }

func (*reader) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	var all []pluginapi.Secret
	for _, name := range names() {
		all = append(all, pluginapi.Secret{Name: name})
	}
	return all, nil
}

// Start implements pluginapi.Starter.
func (*reader) Start(ctx context.Context, host pluginapi.Host) error {
	var c configuration
	if err := host.Config(ctx, &c); err != nil {
		return err
	}
	notes, err := os.OpenFile(c.Notes, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the notes: %w", err)
	}
	defer notes.Close()
	var all sync.WaitGroup
	for i := range c.Readers {
		all.Go(func() { c.read(ctx, host, notes, i) })
	}
	all.Wait()
	return nil
}

func (c configuration) read(ctx context.Context, host pluginapi.Host, notes *os.File, number int) {
	for n := 0; ctx.Err() == nil; n++ {
		name, actor := names()[(number+n)%len(names())], fmt.Sprintf("%s-%d-%d", c.Life, number, n)
		value, err := host.GetSecret(ctx, name, actor)
		switch {
		case err == nil:
			fmt.Fprintf(notes, "%s %s %s\n", actor, name, value.Reveal())
		case errors.Is(err, pluginapi.ErrNotSet): // nobody has stored one yet
			pause(ctx, time.Millisecond)
		default:
			fmt.Fprintf(notes, "- %s %s %s\n", actor, name, strings.ReplaceAll(err.Error(), "\n", " "))
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
