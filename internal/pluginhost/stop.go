package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
)

// stop ends the launch: it asks, then insists, then kills. Each step has a
// limit, is over as soon as the process has ended, and is cut short when
// patience ends. In the end neither a process nor a file is left.
func (l *launch) stop(patience context.Context) error {
	p := l.runner.abort()
	if p != nil {
		l.endProcess(patience, p)
	}
	l.disown()
	// go-plugin waits for readers of pipes and for calls; both are over now.
	err := guard(context.Background(), time.Second, func() error {
		l.client.Kill()
		return nil
	})
	if l.callback != nil {
		l.callback.stop()
	}
	_ = l.runner.stdout.Close()
	if p != nil {
		p.endOutput() // even if it could not be killed
		l.runner.closeReport()
		l.runner.pumps.Wait()
		p.closePipes()
	}
	return errors.Join(err, l.remove())
}

// endProcess climbs the ladder from a request to SIGKILL.
func (l *launch) endProcess(patience context.Context, p *process) {
	if l.conn != nil {
		l.askToStop(patience, p)
	}
	_ = p.stdin.Close() // the plugin's sign that its host is gone
	p.signal(syscall.SIGTERM)
	if p.gone(patience, l.timings.Terminate) {
		return
	}
	p.signal(syscall.SIGKILL)
	if !p.gone(context.Background(), killGrace) {
		l.log.Error("the plugin did not end when killed", "pid", p.pid)
	}
}

// askToStop calls Shutdown, and waits no longer than the process lives.
func (l *launch) askToStop(patience context.Context, p *process) {
	ctx, cancel := context.WithTimeout(patience, l.timings.Shutdown)
	defer cancel()
	go func() {
		select {
		case <-p.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	// Whatever the answer is, the next step follows.
	_, _ = pluginpb.NewLifecycleClient(l.conn).Shutdown(ctx, &pluginpb.ShutdownRequest{})
}

func (l *launch) remove() error {
	if err := rundir.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("removing the plugin's private folder: %w", bare(err))
	}
	return nil
}
