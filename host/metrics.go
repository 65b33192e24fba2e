package host

import (
	"context"
	"os"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
)

// observe has the database tell what becomes of its transactions, and begins to
// count if that is asked for.
func (h *Host) observe(count bool) {
	h.pulse.noteRead(nil) // it was just opened
	if count {
		h.metrics = metrics.New(Version, metrics.Looks{Plugins: h.Plugins, State: h.state, Log: h.logEnd})
	}
	h.db.Observe(func(changes int, took time.Duration, err error) {
		h.pulse.noteWrite(err)
		h.metrics.Commit(changes, took, err)
	})
}

func (h *Host) state() metrics.State {
	return metrics.State{
		Configured: h.door.Configured(), Sealed: h.door.Sealed(), Damages: h.door.Damages(),
		Waiting: h.db.Waiting(),
		Files:   map[string]int64{"database": fileSize(h.path), "wal": fileSize(h.path + "-wal")},
	}
}

// fileSize is in bytes; 0 for a file that is not there.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (h *Host) logEnd(ctx context.Context) (metrics.Log, error) {
	entries, head, err := h.db.LogEnd(ctx)
	return metrics.Log{Entries: entries, Head: head}, err
}
