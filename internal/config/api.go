package config

import (
	"fmt"
	"strconv"
)

// apiRate reads how many requests a second one client may send; 0 stands for
// the default.
func apiRate(v any) (float64, error) {
	if v == nil {
		return 0, nil
	}
	const path = "plugins." + Name + ".api"
	b, ok := v.(map[string]any)
	if !ok {
		return 0, fmt.Errorf("%s: should be a mapping such as {rate: 1000}, not %s", path, kind(v))
	}
	for key := range b {
		if key != "rate" {
			return 0, fmt.Errorf("%s: unknown key %q; the known key is rate", path, clip(key))
		}
	}
	if b["rate"] == nil {
		return 0, nil
	}
	// YAML and JSON have different types for a number.
	if rate, err := strconv.ParseUint(fmt.Sprint(b["rate"]), 10, 31); err == nil && rate > 0 {
		return float64(rate), nil
	}
	return 0, fmt.Errorf("%s.rate: should be a whole number of requests a second, above 0", path)
}
