package pluginhost

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// ParseLine is parseLine for the tests, of a plugin that was given nothing.
func ParseLine(line []byte) entry { return parseLine(line, false, &redactor{}) }

// Redactor is redactor for the tests.
type Redactor struct{ redactor }

// Learn is learn for the tests.
func (r *Redactor) Learn(name, value string) { r.learn(name, value) }

// Renew is renew for the tests.
func (r *Redactor) Renew() { r.renew() }

// Hide is hide for the tests.
func (r *Redactor) Hide(text string, cut bool) string { return r.hide(text, cut) }

// Fit is fit for the tests.
func (r *Redactor) Fit(text string, limit int) string { return r.fit(text, limit) }

// Size is about how many bytes the redactor takes.
func (r *Redactor) Size() int { return r.size }

// Line is what the log says of a line.
func (r *Redactor) Line(line string, cut bool) (message string, fields map[string]string) {
	return parseLine([]byte(line), cut, &r.redactor).Text()
}

// ParseHandshake is parseHandshake for the tests.
func ParseHandshake(line string) (text string, cert *x509.Certificate, err error) {
	parsed, err := parseHandshake(line)
	return parsed.text, parsed.cert, err
}

// Caller is who asks, when a plugin sends that actor and token.
func Caller(signer signing.Signer, plugin, actorID, token string) (secrets.Caller, error) {
	return (&service{plugin: plugin, signer: signer}).caller(actorID, token)
}

// The limits on one log line.
const (
	MaxLine   = maxLine
	MaxFields = maxFields
)

// Text is what the entry says, in all its parts.
func (e entry) Text() (message string, fields map[string]string) {
	fields = map[string]string{}
	for _, attr := range e.attrs {
		for _, field := range attr.Value.Group() {
			fields[field.Key] = field.Value.String()
		}
	}
	return e.message, fields
}

// Level is the entry's level by name.
func (e entry) Level() string { return e.level.String() }

// Breaker is a breaker with a window of ten minutes.
func Breaker() (crash func(at time.Time) bool) {
	b := &breaker{}
	return func(at time.Time) bool { return b.crash(at, 10*time.Minute) }
}

// Recorded is a log that keeps its lines, and what it kept after a number.
func Recorded(next slog.Handler) (log *slog.Logger, after func(int64) []secrets.LogLine) {
	r := &ring{}
	return slog.New(recorder{next: next, ring: r}), r.after
}

// Call lets a plugin validate a value, as pages do.
func (h *Host) Call(ctx context.Context, plugin, value string) (*pluginpb.TestSecretResponse, error) {
	s, err := h.find(plugin)
	if err != nil {
		return nil, err
	}
	l, giveBack := s.borrow()
	if l == nil {
		return nil, secrets.ErrUnavailable
	}
	defer giveBack()
	return pluginpb.NewValidatorClient(l.conn).TestSecret(ctx, &pluginpb.TestSecretRequest{Value: []byte(value)})
}

// Circuit is circuit for the tests.
type Circuit = circuit

// Allows is allows for the tests.
func (c *circuit) Allows(now time.Time) bool { return c.allows(now) }

// Note is note for the tests.
func (c *circuit) Note(late bool, now time.Time) bool { return c.note(late, now) }

// NewKept is newKept for the tests.
func NewKept[T any]() *kept[T] { return newKept[T]() }

// Get is get for the tests.
func (k *kept[T]) Get(question string, now time.Time) (T, bool) { return k.get(question, now) }

// Put is put for the tests.
func (k *kept[T]) Put(question string, value T, now time.Time) { k.put(question, value, now) }

// Len is how many answers there are.
func (k *kept[T]) Len() int { return len(k.answers) }

// Stream passes a stream through the gate of a plugin that may make so many
// calls, to a handler.
func Stream(log *slog.Logger, calls int, handle func(context.Context) error) func(context.Context) error {
	g := &gate{log: log, limiter: rate.NewLimiter(0, calls)}
	info := &grpc.StreamServerInfo{FullMethod: "/test/Stream"}
	return func(ctx context.Context) error {
		return g.recoverStream(nil, passing{ctx: ctx}, info, func(server any, stream grpc.ServerStream) error {
			return g.limitStream(server, stream, info, func(server any, stream grpc.ServerStream) error {
				return g.translateStream(server, stream, info, func(_ any, stream grpc.ServerStream) error {
					return handle(stream.Context())
				})
			})
		})
	}
}

type passing struct {
	grpc.ServerStream
	ctx context.Context
}

func (p passing) Context() context.Context { return p.ctx }
