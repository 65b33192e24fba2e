package pluginwire_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

type row struct {
	err    error
	code   codes.Code
	reason string
}

// rows is what the documentation of the protocol promises.
func rows() map[string]row {
	return map[string]row{
		"ErrNotSet":        {secrets.ErrNotSet, codes.NotFound, "SECRET_NOT_SET"},
		"ErrNotDeclared":   {secrets.ErrNotDeclared, codes.PermissionDenied, "SECRET_NOT_DECLARED"},
		"ErrNotApproved":   {secrets.ErrNotApproved, codes.PermissionDenied, "GRANT_PENDING"},
		"ErrDenied":        {secrets.ErrDenied, codes.PermissionDenied, "ACTOR_DENIED"},
		"ErrSealed":        {secrets.ErrSealed, codes.FailedPrecondition, "HOST_SEALED"},
		"ErrNotConfigured": {secrets.ErrNotConfigured, codes.FailedPrecondition, "NOT_CONFIGURED"},
		"ErrIntegrity":     {secrets.ErrIntegrity, codes.DataLoss, "DECRYPT_FAILED"},
		"ErrUnavailable":   {secrets.ErrUnavailable, codes.Unavailable, "HOST_UNAVAILABLE"},
		"ErrInvalid":       {secrets.ErrInvalid, codes.InvalidArgument, "BAD_REQUEST"},
		"ErrNotFound":      {secrets.ErrNotFound, codes.NotFound, "NOT_FOUND"},
	}
}

func TestEverySentinelHasARow(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Err") {
			declared = append(declared, spec.Names[0].Name)
		}
		return true
	})
	slices.Sort(declared)
	if known := slices.Sorted(maps.Keys(rows())); !slices.Equal(declared, known) {
		t.Errorf("errors.go declares %v, this test knows %v", declared, known)
	}
}

func TestSentinelsSurviveTheWire(t *testing.T) {
	t.Parallel()
	for name, r := range rows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := pluginwire.ToStatus(fmt.Errorf("reading hunter2: %w", r.err))
			if code := status.Code(sent); code != r.code {
				t.Errorf("code %v, want %v", code, r.code)
			}
			info, ok := status.Convert(sent).Details()[0].(*errdetails.ErrorInfo)
			if !ok || info.GetDomain() != "secrets.plugin" || info.GetReason() != r.reason {
				t.Errorf("detail %v, want %s", info, r.reason)
			}
			if reason := pluginwire.Reason(fmt.Errorf("reading hunter2: %w", r.err)); reason != r.reason {
				t.Errorf("reason %s, want %s", reason, r.reason)
			}
			if back := pluginwire.FromReason(r.reason); !errors.Is(back, r.err) {
				t.Errorf("%s is %v, want %v", r.reason, back, r.err)
			}
			got := pluginwire.FromStatus(sent)
			for other, o := range rows() {
				if is, want := errors.Is(got, o.err), errors.Is(r.err, o.err); is != want {
					t.Errorf("errors.Is(%s) is %v, want %v", other, is, want)
				}
			}
			if r.err != secrets.ErrInvalid && got.Error() != r.err.Error() {
				t.Errorf("text %q, want %q", got, r.err)
			}
		})
	}
}

func TestInvalidKeepsItsMessage(t *testing.T) {
	t.Parallel()
	sent := fmt.Errorf("%w: the name is empty", secrets.ErrInvalid)
	if got := pluginwire.FromStatus(pluginwire.ToStatus(sent)); got.Error() != sent.Error() {
		t.Errorf("got %q", got)
	}
}

func TestTheCauseNeverCrosses(t *testing.T) {
	t.Parallel()
	causes := map[string]error{
		"plain":  errors.New("hunter2"),
		"joined": errors.Join(errors.New("hunter2"), errors.New("x")),
		"status": status.Error(codes.PermissionDenied, "hunter2"),
	}
	for name, cause := range causes {
		sent := pluginwire.ToStatus(cause)
		if status.Code(sent) != codes.Internal || strings.Contains(sent.Error(), "hunter2") {
			t.Errorf("%s: %v", name, sent)
		}
		if got := pluginwire.FromStatus(sent).Error(); got != "internal error" {
			t.Errorf("%s: received %q", name, got)
		}
	}
}

func TestOtherErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		err  error
		want error
	}{
		{"the transport fails", status.Error(codes.Unavailable, "connection refused"), secrets.ErrUnavailable},
		{"the call takes too long", status.Error(codes.DeadlineExceeded, "late"), secrets.ErrUnavailable},
		{"the call takes too long, as a context", status.Error(codes.DeadlineExceeded, "late"), context.DeadlineExceeded},
		{"the caller gives up", status.Error(codes.Canceled, "gone"), context.Canceled},
		{"a deadline behind the wire", pluginwire.ToStatus(fmt.Errorf("x: %w", context.DeadlineExceeded)), secrets.ErrUnavailable},
		{"no gRPC error", context.Canceled, context.Canceled},
	}
	for _, c := range cases {
		if got := pluginwire.FromStatus(c.err); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	if pluginwire.ToStatus(nil) != nil || pluginwire.FromStatus(nil) != nil {
		t.Error("no error became one")
	}
}

func TestAForeignDomainSaysNothing(t *testing.T) {
	t.Parallel()
	s, err := status.New(codes.NotFound, "x").WithDetails(&errdetails.ErrorInfo{Domain: "example.com", Reason: "SECRET_NOT_SET"})
	if err != nil {
		t.Fatal(err)
	}
	if got := pluginwire.FromStatus(s.Err()); errors.Is(got, secrets.ErrNotSet) {
		t.Errorf("got %v", got)
	}
}

func TestMessagesOfTheOtherSideAreCleaned(t *testing.T) {
	t.Parallel()
	hostile := "a\x1b[31m\r\nb" + strings.Repeat("é", 4000)
	for _, code := range []codes.Code{codes.Unavailable, codes.Unimplemented} {
		got := pluginwire.FromStatus(status.Error(code, hostile)).Error()
		if strings.ContainsAny(got, "\x1b\r\n\uFFFD") || len(got) > 1200 {
			t.Errorf("%v: %d bytes, %q", code, len(got), got[:60])
		}
	}
}
