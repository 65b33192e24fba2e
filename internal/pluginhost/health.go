package pluginhost

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	plugin "github.com/hashicorp/go-plugin"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const (
	maxMisses = 3 // health probes in a row that may fail
	maxLate   = 3 // calls in a row that may miss their deadlines

	maxHealth = 4 << 10 // bytes of the answer to a health probe
)

// watch returns when a ready plugin ends, hangs or is to be stopped, or when
// another launch is to take its place. Until then it tells whether the plugin
// keeps up.
func (s *supervised) watch(turn context.Context, l *launch) (next *launch, err error) {
	probes := time.NewTicker(s.host.cfg.Timings.Probe)
	defer probes.Stop()
	looks := time.NewTicker(s.host.cfg.Timings.Look)
	defer looks.Stop()
	file := s.follow(l)
	defer file.abandon()
	p := l.runner.process()
	health, degraded := checkup{launch: l, dialled: time.Now()}, false
	for health.misses < maxMisses {
		degraded = s.assess(turn, degraded, health.misses, l.pulse.late())
		select {
		case <-turn.Done():
			return nil, nil
		case <-p.exited:
			return nil, fmt.Errorf("it ended by itself (%s)", p.exit())
		case <-l.pulse.changed:
		case <-probes.C:
			health.probe(turn)
		case <-looks.C:
			file.look(turn)
		case done := <-file.result:
			if next := file.settle(turn, done); next != nil {
				return next, nil
			}
		}
	}
	return nil, fmt.Errorf("it did not answer %d health probes in a row", maxMisses)
}

// checkup is what the health probes of one launch found.
type checkup struct {
	launch  *launch
	misses  int       // in a row
	dialled time.Time // the last good probe over a new connection
}

// probe probes once. After a miss only a new connection can prove that all is
// well.
func (c *checkup) probe(ctx context.Context) {
	anew := c.misses > 0 || time.Since(c.dialled) >= c.launch.timings.ProbeDial
	if !c.launch.healthy(ctx, anew) {
		c.misses++
		return
	}
	c.misses = 0
	if anew {
		c.dialled = time.Now()
	}
}

// healthy probes the plugin once, over a connection made anew or the one that
// is there. A plugin whose socket was removed still answers on the latter, but
// is lost as soon as that breaks.
func (l *launch) healthy(ctx context.Context, anew bool) bool {
	ctx, cancel := context.WithTimeout(ctx, l.timings.ProbeCall)
	defer cancel()
	if !anew {
		return serves(ctx, l.conn) == nil
	}
	conn, err := grpc.NewClient("passthrough:///"+pluginwire.Authority,
		grpc.WithContextDialer(l.runner.dial),
		grpc.WithTransportCredentials(credentials.NewTLS(l.identity.HostTLS())),
		grpc.WithAuthority(pluginwire.Authority),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
	)
	if err != nil {
		return false
	}
	defer conn.Close()
	return serves(ctx, conn) == nil
}

// serves asks the plugin whether it serves.
func serves(ctx context.Context, conn *grpc.ClientConn) error {
	response, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName}, grpc.MaxCallRecvMsgSize(maxHealth))
	if err == nil && response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return status.Error(codes.FailedPrecondition, "it does not serve")
	}
	return err
}

// assess enters PluginDegraded or leaves it, and returns which it is.
func (s *supervised) assess(turn context.Context, was bool, misses, late int) (degraded bool) {
	reason := ""
	switch {
	case misses > 0:
		reason = "it did not answer the last health probe"
	case late >= maxLate:
		reason = fmt.Sprintf("it did not answer its last %d calls in time", maxLate)
	}
	if degraded = reason != ""; degraded == was {
		return degraded
	}
	if !degraded {
		s.log.Info("the plugin answers again")
		s.enter(turn, secrets.PluginReady, nil)
		return false
	}
	s.log.Warn("the plugin does not keep up", "reason", reason)
	s.enter(turn, secrets.PluginDegraded, func(state *secrets.PluginStatus) { state.LastError = reason })
	return true
}

// pulse counts the calls of one launch that missed their deadlines.
type pulse struct {
	changed chan struct{} // has room for one word that there is news

	mu     sync.Mutex
	missed int // in a row
}

func newPulse() *pulse { return &pulse{changed: make(chan struct{}, 1)} }

// late is how many calls in a row missed their deadlines.
func (p *pulse) late() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missed
}

// note takes the outcome of one call. An error is an answer too; a call that
// its caller gave up says nothing.
func (p *pulse) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.missed
	switch code(err) {
	case codes.DeadlineExceeded:
		p.missed++
	case codes.Canceled, codes.Unavailable:
	default:
		p.missed = 0
	}
	if (before >= maxLate) == (p.missed >= maxLate) {
		return
	}
	select {
	case p.changed <- struct{}{}:
	default: // the word is there already
	}
}

// call notes the outcome of every call but those that nobody waits for.
func (p *pulse) call(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, request, reply, conn, opts...)
	if !strings.HasPrefix(method, "/grpc.health.") && !strings.HasPrefix(method, "/plugin.") {
		p.note(err)
	}
	return err
}
