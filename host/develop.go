package host

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/script"
)

// Development is a host for somebody who writes a plugin, on a machine that
// nobody else reaches. Whatever a plugin asks for counts as approved unless it
// was refused; plugins are started anew when their files change; without a
// database file and an encryption key, there is a key for as long as the host
// runs. The pages say so.
type Development struct {
	// Programs are the files of plugins that are in no folder of plugins. A
	// script may read the folders that belong to it.
	Programs []string
}

const (
	sourcesEvery = 300 * time.Millisecond // between two looks at what an author writes
	soonest      = 2 * time.Second        // the longest wait before a plugin is started again
)

// timings are those of a host that reacts to its author.
func (d *Development) timings() pluginhost.Timings {
	if d == nil {
		return pluginhost.Timings{}
	}
	return pluginhost.Timings{Look: sourcesEvery, MaxBackoff: soonest}
}

// programs are the plugins that are given by their files, by their names.
func (d *Development) programs() (map[string]string, error) {
	all := map[string]string{}
	if d == nil {
		return all, nil
	}
	for _, given := range d.Programs {
		path, err := filepath.Abs(given)
		if err != nil {
			return nil, fmt.Errorf("finding the plugin %s: %w", given, err)
		}
		name := pluginhost.NameOf(path)
		if err := pluginhost.CheckName(name); err != nil {
			return nil, fmt.Errorf("%w: the plugin %s: %w", secrets.ErrInvalid, given, err)
		}
		if all[name] != "" {
			return nil, fmt.Errorf("%w: two plugins are called %s", secrets.ErrInvalid, name)
		}
		if _, err := sandbox.Look(path); err != nil {
			return nil, fmt.Errorf("%w: the plugin %s: %w; build it first", secrets.ErrInvalid, given, err)
		}
		all[name] = path
	}
	return all, nil
}

// grantOwn lets scripts read what belongs to them.
func grantOwn(grants map[string]pluginhost.Grant, programs map[string]string) {
	for name, path := range programs {
		grant := grants[name]
		for _, folder := range script.Folders(path) {
			if !slices.Contains(grant.Read, folder) {
				grant.Read = append(slices.Clone(grant.Read), folder)
			}
		}
		grants[name] = grant
	}
}

// throwaway makes a key for a database that is lost with the host.
func (b *base) throwaway() error {
	text, err := keyring.Generate()
	if err != nil {
		return err
	}
	if b.keys, err = keyring.Parse(text); err != nil {
		return fmt.Errorf("using a new encryption key: %w", err)
	}
	stamp, _ := stampOf(b.loaded.Reads()) // what is there now counts as read
	b.source.ring, b.source.stamp = b.keys, stamp
	return nil
}

// watched is what an author changes of one plugin.
type watched struct {
	name    string
	path    string
	project string // of a script; empty for a program

	seen, known mark
}

// mark changes with the file of a plugin and its sources.
type mark struct {
	file    sandbox.Mark
	sources script.Mark
}

func (w *watched) look() mark {
	file, _ := sandbox.Look(w.path) // the zero Mark while it is being built
	return mark{file, script.Look(w.project)}
}

// develop starts plugins anew whose sources changed, until ctx ends. A program
// that runs is followed by its supervisor, which starts the new file beside the
// former; one that failed would wait.
func (h *Host) develop(ctx context.Context, programs map[string]string) {
	var all []*watched
	for name, path := range programs {
		w := &watched{name: name, path: path, project: script.Project(path)}
		w.known = w.look()
		w.seen = w.known
		all = append(all, w)
	}
	ticker := time.NewTicker(sourcesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, w := range all {
			h.followSources(w)
		}
	}
}

// followSources acts on a change once nothing changes any more.
func (h *Host) followSources(w *watched) {
	now := w.look()
	settled := now == w.seen
	w.seen = now
	if !settled || now == w.known || now.file == (sandbox.Mark{}) {
		return
	}
	sources := now.sources != w.known.sources
	w.known = now
	if !sources && h.runs(w.name) {
		return
	}
	h.log.Info("the plugin changed and is started anew", "plugin", w.name)
	if err := h.plugins.Restart(w.name); err != nil {
		h.log.Warn("the plugin changed and cannot be started anew", "plugin", w.name, "error", err)
	}
}

// runs tells whether a plugin is ready.
func (h *Host) runs(plugin string) bool {
	return slices.ContainsFunc(h.plugins.Status(), func(s secrets.PluginStatus) bool {
		return s.Name == plugin && (s.State == secrets.PluginReady || s.State == secrets.PluginDegraded)
	})
}
