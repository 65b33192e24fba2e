package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// The checks of how a plugin lives and ends.

const (
	settleTime = time.Second // in which a plugin that cannot work is seen to fail
)

// checkSandbox lets the program work for a while. Every launch is in the
// sandbox; this check looks at what becomes of one that has started its work.
func checkSandbox(ctx context.Context, k *kit) verdict {
	fix := "a plugin has the system's libraries, an empty folder of its own (TMPDIR) and its host, unless an administrator grants more" + k.readingHint()
	l, err := k.ready(ctx)
	var p problem
	if errors.As(err, &p) {
		return failed(p.wrong, p.fix+"; "+fix)
	}
	if err != nil {
		return failure(err)
	}
	defer l.close()
	if l.process.gone(ctx, settleTime) {
		return failed(fmt.Sprintf("it ended soon after Start (%s)", l.process.exit()), "see what it logged; "+fix)
	}
	if err := l.healthy(ctx, l.conn); err != nil {
		return failure(err)
	}
	if peak := peakMemory(l.process.pid); peak > memory {
		return failed(fmt.Sprintf("it used %d MiB of memory", peak>>20), fmt.Sprintf("stay below %d MiB", memory>>20))
	}
	if k.policy().Mode != sandbox.Enforce {
		return skipped("this system cannot enforce the sandbox; the program works in what there is")
	}
	return passed()
}

func checkShutdown(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		if err := l.shutdown(ctx); err != nil {
			return failure(err)
		}
		return passed()
	})
}

// shutdown calls Shutdown. A program that ends without an answer has done what
// it was asked.
func (l *launch) shutdown(ctx context.Context) error {
	patience := l.kit.limit(endTime)
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := pluginpb.NewLifecycleClient(l.conn).Shutdown(asked, &pluginpb.ShutdownRequest{})
	const fix = "finish what is under way, and answer; the host ends the process then"
	switch {
	case err == nil:
		return nil
	case asked.Err() != nil:
		return problem{fmt.Sprintf("it did not answer Shutdown within %s", patience), fix}
	case l.process.gone(ctx, pipeGrace) && l.process.state.Success():
		return nil
	}
	return problem{fmt.Sprintf("Shutdown failed (%s)", status.Code(err)), fix}
}

func checkStdin(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		patience := k.limit(endTime)
		_ = l.process.stdin.Close()
		if !l.process.gone(ctx, patience) {
			return failed(fmt.Sprintf("it still runs %s after its standard input ended", patience),
				"read standard input to its end, in the background, and end the process then: its host is gone")
		}
		return passed()
	})
}

func checkRestarts(ctx context.Context, k *kit) verdict {
	for i := range k.cfg.Restarts {
		l, err := k.ready(ctx)
		if err != nil {
			v := failure(err)
			v.reason = fmt.Sprintf("at start %d, %s", i+1, v.reason)
			return v
		}
		err = l.stopAndLook(ctx)
		l.close()
		if err != nil {
			return failure(err)
		}
		if ctx.Err() != nil {
			return skipped("it was interrupted")
		}
	}
	return passed()
}

// stopAndLook ends the program as a host does, but for the signals with which
// a host hurries it, and looks at what it left.
func (l *launch) stopAndLook(ctx context.Context) error {
	if err := l.shutdown(ctx); err != nil {
		return err
	}
	_ = l.process.stdin.Close()
	if !l.process.gone(ctx, l.kit.limit(endTime)) {
		return problem{"it still runs after Shutdown and the end of its standard input", "end the process when standard input ends"}
	}
	if n := len(l.process.left); n > 0 {
		return problem{fmt.Sprintf("it left %d other processes behind", n), "end the processes that it starts before it ends itself"}
	}
	sockets, err := os.ReadDir(l.sockets)
	if err != nil {
		return fmt.Errorf("looking for files that were left: %w", err)
	}
	if len(sockets) > 0 {
		return problem{fmt.Sprintf("it left %q in the folder of its socket", clean(sockets[0].Name(), maxSample)),
			"close the server before the process ends, which removes its socket"}
	}
	return nil
}

func checkStdout(_ context.Context, k *kit) verdict {
	line, anything := k.printed.seen()
	if !anything {
		return passed()
	}
	return failed(fmt.Sprintf("it wrote to standard output after the handshake: %q", clean(k.canaries.mask(line), maxSample)),
		"standard output belongs to the protocol: write to standard error, or let the SDK log")
}

func checkSecrecy(_ context.Context, k *kit) verdict {
	given, leaks := k.canaries.found()
	for place, secret := range leaks {
		return failed(fmt.Sprintf("the value of %s is in %s", clean(secret, maxSample), place),
			"take the clear text out of a value only where it is used, and keep it out of errors and logs; a host masks some of them, but not all")
	}
	if given == 0 {
		return skipped("it read no secret while it was tested")
	}
	return passed()
}
