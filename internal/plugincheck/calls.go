package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// The checks of how a plugin answers calls of any kind.

const (
	atOnce     = 64                    // calls
	retryPause = 50 * time.Millisecond // before a question is put again
)

func checkHealth(ctx context.Context, k *kit) verdict {
	return during(ctx, k.serving, func(l *launch) verdict {
		if err := l.healthy(ctx, l.conn); err != nil {
			return failure(err)
		}
		return passed()
	})
}

// healthy probes the program once.
func (l *launch) healthy(ctx context.Context, conn *grpc.ClientConn) error {
	const fix = "serve grpc.health.v1.Health with the status SERVING for the service \"" + plugin.GRPCServiceName + "\""
	response, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	switch code := status.Code(err); {
	case code == codes.Unimplemented, code == codes.NotFound:
		return problem{fmt.Sprintf("it does not answer health probes (%s)", code), fix}
	case err != nil:
		return l.explain("a health probe", err)
	case response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return problem{fmt.Sprintf("it says of itself that it is %s", response.GetStatus()), fix}
	}
	return nil
}

func checkUnknownCalls(ctx context.Context, k *kit) verdict {
	return during(ctx, k.serving, func(l *launch) verdict {
		for _, method := range []string{
			"/" + pluginpb.Lifecycle_ServiceDesc.ServiceName + "/NoSuchCall",
			"/secrets.plugin.v1.NoSuchService/Call",
		} {
			err := l.conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
			if code := status.Code(err); code != codes.Unimplemented {
				return failed(fmt.Sprintf("it answers the call %s, which no plugin has, with %s", method, code),
					"answer unknown calls with UNIMPLEMENTED, as gRPC servers do by themselves: newer hosts find out that way what a plugin offers")
			}
		}
		if err := l.healthy(ctx, l.conn); err != nil {
			return failure(err)
		}
		return passed()
	})
}

// checkDeadlines gives many calls up, some before and some after they arrived,
// and then asks whether the program still answers.
func checkDeadlines(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		var calls sync.WaitGroup
		for i := range 2 * atOnce {
			calls.Go(func() {
				short, cancel := context.WithTimeout(ctx, time.Duration(1+i%10)*time.Millisecond)
				defer cancel()
				_ = l.ask(short, i) // nobody waits for the answer
			})
		}
		calls.Wait()
		for i := range len(l.questions()) {
			if err := l.askAgain(ctx, i); err != nil {
				v := failure(err)
				v.reason = "after calls that were given up, " + v.reason
				v.fix = "let go of a call when it is cancelled or its deadline has passed, and hold no lock meanwhile"
				return v
			}
		}
		return passed()
	})
}

func checkConcurrency(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		failures := make(chan error, atOnce)
		var calls sync.WaitGroup
		for i := range atOnce {
			calls.Go(func() {
				if err := l.ask(ctx, i); err != nil {
					failures <- err
				}
			})
		}
		calls.Wait()
		close(failures)
		first, all := <-failures, len(failures)
		if first == nil {
			return passed()
		}
		return failed(fmt.Sprintf("%d of %d calls at once failed: %s", all+1, atOnce, wrongWith(first)),
			"answer calls side by side, without a bound below 128 on how many there are")
	})
}

// questions are calls that a plugin may be asked at any time and often. What
// it offers of its own is among them.
func (l *launch) questions() []func(context.Context) error {
	all := []func(context.Context) error{func(ctx context.Context) error { return l.healthy(ctx, l.conn) }}
	if l.offers(pluginpb.Menu_ServiceDesc) {
		all = append(all, func(ctx context.Context) error {
			_, err := pluginpb.NewMenuClient(l.conn).MenuLinks(ctx, &pluginpb.MenuLinksRequest{Actor: someActor()})
			return l.explain("MenuLinks", err)
		})
	}
	if l.offers(pluginpb.Actors_ServiceDesc) {
		all = append(all, func(ctx context.Context) error {
			_, err := pluginpb.NewActorsClient(l.conn).ActorsFromIDs(ctx, &pluginpb.ActorsFromIDsRequest{Ids: []string{somebody}})
			return l.explain("ActorsFromIDs", err)
		})
	}
	return all
}

// ask puts one of the questions.
func (l *launch) ask(ctx context.Context, i int) error {
	all := l.questions()
	return all[i%len(all)](ctx)
}

// askAgain puts one of the questions until it is answered, or for as long as a
// host waits for one answer: what was given up may still be under way.
func (l *launch) askAgain(ctx context.Context, i int) error {
	soon, cancel := context.WithTimeout(ctx, l.kit.limit(callTime))
	defer cancel()
	for {
		err := l.ask(soon, i)
		if err == nil || soon.Err() != nil || !l.process.alive() {
			return err
		}
		l.process.gone(soon, retryPause)
	}
}

// wrongWith is what is wrong, without what to do.
func wrongWith(err error) string {
	var p problem
	if errors.As(err, &p) {
		return p.wrong
	}
	return err.Error()
}
