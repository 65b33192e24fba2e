// Command chaos is a plugin that misbehaves when it is told to, in Go. Its
// siblings chaos.py and chaos.js do the same in Python and Node.
//
// It reads one secret over and over, whose name is its only argument. The value
// is what it is to do: "calm" is nothing more, "flood 7" writes and asks
// without a pause for a moment, "hang 7" stops answering. The number makes it
// do so once only, and not again after a restart.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

func main() { pluginapi.Serve(chaos{}) }

type chaos struct{}

// RegisterSecrets implements pluginapi.Plugin.
func (chaos) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: os.Args[1], Description: "What to do"}}, nil
}

// Start implements pluginapi.Starter.
func (chaos) Start(ctx context.Context, host pluginapi.Host) error {
	done := ""
	for first := true; ctx.Err() == nil; first = false {
		order := read(ctx, host)
		if order != done && !first {
			obey(ctx, host, order)
		}
		done = order
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// read is what the plugin is to do. Whatever goes wrong, it goes on.
func read(ctx context.Context, host pluginapi.Host) string {
	value, err := host.GetSecret(ctx, os.Args[1], "chaos")
	if errors.Is(err, pluginapi.ErrDenied) {
		host.Logger().Error("denied what it declared")
	}
	return value.Reveal()
}

func obey(ctx context.Context, host pluginapi.Host, order string) {
	word, _, _ := strings.Cut(order, " ")
	switch word {
	case "flood":
		for i := range 2000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("flood ", 200), i)
			go read(ctx, host)
		}
	case "hang":
		time.Sleep(5 * time.Second) // also when it is asked to stop
	}
}
