package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

// A stream passes the same gate as every other call, but for the deadline.
func TestGateOfStreams(t *testing.T) {
	t.Parallel()
	const cause = "hunter2"
	for name, test := range map[string]struct {
		handle func(context.Context) error
		code   codes.Code
	}{
		"fine":     {func(context.Context) error { return nil }, codes.OK},
		"denied":   {func(context.Context) error { return fmt.Errorf("%s: %w", cause, secrets.ErrNotDeclared) }, codes.PermissionDenied},
		"internal": {func(context.Context) error { return errors.New(cause) }, codes.Internal},
		"panic":    {func(context.Context) error { panic(cause) }, codes.Internal},
		"deadline": {func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); ok {
				return errors.New("it has a deadline")
			}
			return nil
		}, codes.OK},
	} {
		log := &journal{}
		stream := pluginhost.Stream(slog.New(slog.NewTextHandler(log, nil)), 1, test.handle)
		err := stream(t.Context())
		if status.Code(err) != test.code || err != nil && strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
		if name == "panic" && (strings.Contains(log.text(), cause) || !strings.Contains(log.text(), "panic while answering")) {
			t.Errorf("the log of a panic: %s", log.text())
		}
		if err := stream(t.Context()); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s, beyond the rate: %v", name, err)
		}
	}
}
