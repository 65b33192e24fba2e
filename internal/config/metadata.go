package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// moveLegacy moves the plugins and allow keys of a metadata file, where they
// lived before Datasette 1.0, to the same place in the configuration. A moved
// key replaces all that the configuration has there.
func moveLegacy(metadata, config map[string]any) error {
	return moveFrom(metadata, config, nil)
}

func moveFrom(metadata, config map[string]any, path []string) error {
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		here := append(slices.Clip(path), key)
		if key == "plugins" || key == "allow" {
			if err := place(config, here, metadata[key]); err != nil {
				return err
			}
			continue
		}
		if inner, ok := metadata[key].(map[string]any); ok {
			if err := moveFrom(inner, config, here); err != nil {
				return err
			}
		}
	}
	return nil
}

// place sets the value at a path, and makes the mappings on the way.
func place(config map[string]any, path []string, value any) error {
	last := len(path) - 1
	for i, step := range path[:last] {
		if config[step] == nil {
			config[step] = map[string]any{}
		}
		inner, ok := config[step].(map[string]any)
		if !ok {
			return fmt.Errorf("moving %s from the metadata to the configuration: %s should be a mapping there, not %s",
				strings.Join(path, "."), strings.Join(path[:i+1], "."), kind(config[step]))
		}
		config = inner
	}
	config[path[last]] = value
	return nil
}
