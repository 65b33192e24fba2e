package pluginwire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Domain is the domain of the google.rpc.ErrorInfo in every error.
const Domain = "secrets.plugin"

// maxMessage bounds a message that the other side chose.
const maxMessage = 1024

// class is one row of the table of errors.
type class struct {
	sentinel error
	code     codes.Code
	reason   string
}

// classes is the table. A class that is also another one comes before it.
func classes() []class {
	return []class{
		{secrets.ErrNotSet, codes.NotFound, "SECRET_NOT_SET"},
		{secrets.ErrNotDeclared, codes.PermissionDenied, "SECRET_NOT_DECLARED"},
		{secrets.ErrNotApproved, codes.PermissionDenied, "GRANT_PENDING"},
		{secrets.ErrDenied, codes.PermissionDenied, "ACTOR_DENIED"},
		{secrets.ErrSealed, codes.FailedPrecondition, "HOST_SEALED"},
		{secrets.ErrNotConfigured, codes.FailedPrecondition, "NOT_CONFIGURED"},
		{secrets.ErrIntegrity, codes.DataLoss, "DECRYPT_FAILED"},
		{secrets.ErrUnavailable, codes.Unavailable, "HOST_UNAVAILABLE"},
		{secrets.ErrInvalid, codes.InvalidArgument, "BAD_REQUEST"},
		{secrets.ErrNotFound, codes.NotFound, "NOT_FOUND"},
	}
}

// ToStatus turns an error into the gRPC error that may cross to the other
// side: its class, without its cause. Only the message of an ErrInvalid goes
// along, because it is written for whoever asked. What has no class becomes
// "internal error"; logging the cause is the caller's part.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range classes() {
		if errors.Is(err, c.sentinel) {
			return c.status(err)
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, context.Canceled.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	}
	return status.Error(codes.Internal, errInternal.Error())
}

func (c class) status(err error) error {
	message := c.sentinel.Error()
	if c.sentinel == secrets.ErrInvalid {
		message = clean(err.Error())
	}
	s, detailErr := status.New(c.code, message).WithDetails(&errdetails.ErrorInfo{Domain: Domain, Reason: c.reason})
	if detailErr != nil { // only for the code OK, which is in no row
		return status.Error(c.code, message)
	}
	return s.Err()
}

// Reason is the reason that the error of a call would have in its ErrorInfo. It
// is empty for an error without a class.
func Reason(err error) string {
	for _, c := range classes() {
		if errors.Is(err, c.sentinel) {
			return c.reason
		}
	}
	return ""
}

// FromReason is the error of a reason that the other side gave instead of an
// error of its call.
func FromReason(reason string) error {
	if sentinel := sentinelFor(reason); sentinel != nil {
		return sentinel
	}
	return errInternal
}

// sentinelFor is the class with that reason, or nil.
func sentinelFor(reason string) error {
	for _, c := range classes() {
		if c.reason == reason {
			return c.sentinel
		}
	}
	return nil
}

// FromStatus turns the error of a gRPC call back into one that errors.Is finds
// to be its class. A transport that fails or takes too long is ErrUnavailable.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	if sentinel := sentinelOf(s); sentinel != nil {
		return received(sentinel, s.Message())
	}
	switch s.Code() {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return fmt.Errorf("%w: %w", secrets.ErrUnavailable, context.DeadlineExceeded)
	case codes.Unavailable:
		return fmt.Errorf("%w: %s", secrets.ErrUnavailable, clean(s.Message()))
	case codes.Internal:
		return errInternal
	}
	return fmt.Errorf("%s: %s", s.Code(), clean(s.Message()))
}

var errInternal = errors.New("internal error")

// sentinelOf finds the class that s names, or nil.
func sentinelOf(s *status.Status) error {
	for _, detail := range s.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != Domain {
			continue
		}
		if sentinel := sentinelFor(info.GetReason()); sentinel != nil {
			return sentinel
		}
	}
	return nil
}

// remote is an error of the other side: its class, and the text that came.
type remote struct {
	class error
	text  string
}

func (e remote) Error() string { return e.text }
func (e remote) Unwrap() error { return e.class }

// received is the error on the side that asked.
func received(sentinel error, message string) error {
	if sentinel != secrets.ErrInvalid {
		return sentinel
	}
	return remote{class: sentinel, text: clean(message)}
}

// clean makes a message that came from elsewhere fit for a log line.
func clean(message string) string {
	message = strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, message)
}
