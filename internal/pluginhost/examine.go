package pluginhost

import (
	"log/slog"
	"path/filepath"
)

// Examined is a plugin as its file looks, and why it would not be started.
type Examined struct {
	Name    string
	Problem error
}

// Examine looks at the plugins of a folder and starts none.
func Examine(dir string) ([]Examined, error) {
	names, err := discover(dir, slog.New(slog.DiscardHandler))
	all := make([]Examined, len(names))
	for i, name := range names {
		all[i] = Examined{name, allowed(filepath.Join(dir, prefix+name))}
	}
	return all, err
}
