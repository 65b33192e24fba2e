package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The values of plugins.datasette-secrets.sandbox.
const (
	SandboxEnforce    = "enforce"
	SandboxBestEffort = "best-effort"
	SandboxOff        = "off"
)

// PluginGrant is the block plugins.datasette-secrets.plugins.NAME: what the
// administrator decided about one plugin.
type PluginGrant struct {
	Enabled bool     // true if nothing is said
	Network []string // "host:port" each; nil for none
	Ports   []uint16 // those of Network, sorted
	Read    []string // absolute paths
	Memory  int64    // bytes; 0 for no limit
	Args    []string
	MaxAge  time.Duration // how long it may keep a value; 0 forbids it
	Headers []string      // of requests that it may see, sorted, in lower case
}

const (
	minMemory = 16 << 20  // bytes; a smaller limit is a slip
	maxMaxAge = time.Hour // a value that was taken away should not live on
)

func grantKeys() []string {
	return []string{"enabled", "network", "read", "memory", "args", "max-age", "headers"}
}

// sandboxMode reads the mode. YAML reads the word off as false.
func sandboxMode(v any) (string, error) {
	switch v {
	case nil, true:
		return SandboxEnforce, nil
	case false:
		return SandboxOff, nil
	case SandboxEnforce, SandboxBestEffort, SandboxOff:
		return v.(string), nil
	}
	return "", fmt.Errorf("plugins.%s.sandbox: should be %s, %s or %s", Name, SandboxEnforce, SandboxBestEffort, SandboxOff)
}

// grants reads the blocks of all plugins, and what to warn of in them.
func grants(v any) (all map[string]PluginGrant, warnings []string, err error) {
	if v == nil {
		return nil, nil, nil
	}
	blocks, ok := v.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("plugins.%s.plugins: should be a mapping of plugins' names to what they may do, not %s", Name, kind(v))
	}
	all = map[string]PluginGrant{}
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		path := fmt.Sprintf("plugins.%s.plugins.%s", Name, clip(name))
		block, ok := blocks[name].(map[string]any)
		if !ok && blocks[name] != nil {
			return nil, nil, fmt.Errorf("%s: should be a mapping of names to values, not %s", path, kind(blocks[name]))
		}
		for _, key := range slices.Sorted(maps.Keys(block)) {
			if !slices.Contains(grantKeys(), key) {
				warnings = append(warnings, fmt.Sprintf("%s: unknown key %q; %s", path, clip(key), suggestion(key, grantKeys())))
			}
		}
		if all[name], err = grant(path, block); err != nil {
			return nil, nil, err
		}
	}
	return all, warnings, nil
}

func grant(path string, block map[string]any) (g PluginGrant, err error) {
	wrong := func(key, want string) (PluginGrant, error) {
		return PluginGrant{}, fmt.Errorf("%s.%s: should be %s", path, key, want)
	}
	g.Enabled = true
	if v, ok := block["enabled"]; ok && v != nil {
		if g.Enabled, ok = v.(bool); !ok {
			return wrong("enabled", "true or false, without quotes")
		}
	}
	if v := block["network"]; v != "none" {
		if g.Network, err = texts(v); err != nil {
			return wrong("network", "\"none\" or a list of HOST:PORT")
		}
		if g.Ports, err = ports(g.Network); err != nil {
			return wrong("network", "\"none\" or a list of HOST:PORT, such as api.example.com:443")
		}
	}
	if g.Read, err = texts(block["read"]); err != nil || slices.ContainsFunc(g.Read, isRelative) {
		return wrong("read", "a list of absolute paths")
	}
	if g.Memory, err = size(block["memory"]); err != nil {
		return wrong("memory", "a number of bytes, or a text like 128MiB or 1GiB; at least 16MiB")
	}
	if g.Args, err = texts(block["args"]); err != nil {
		return wrong("args", "a list of texts")
	}
	if g.Headers, err = headers(block["headers"]); err != nil {
		return wrong("headers", "a list of headers' names, such as x-forwarded-user; those of a connection, such as host, cannot be passed on")
	}
	if g.MaxAge, err = maxAge(block["max-age"]); err != nil {
		return wrong("max-age", "0, or whole seconds as a text like 30s or 5m; at most 1h")
	}
	return g, nil
}

func isRelative(path string) bool { return !filepath.IsAbs(path) }

// texts reads a list of texts without null bytes.
func texts(v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("not a list")
	}
	var all []string
	for _, item := range list {
		text, ok := item.(string)
		if !ok || text == "" || strings.Contains(text, "\x00") {
			return nil, fmt.Errorf("not a text")
		}
		all = append(all, text)
	}
	return all, nil
}

// ports are those of a list of addresses, each once.
func ports(addresses []string) ([]uint16, error) {
	var all []uint16
	for _, address := range addresses {
		host, text, err := net.SplitHostPort(address)
		port, numberErr := strconv.ParseUint(text, 10, 16)
		if err != nil || numberErr != nil || host == "" || port == 0 {
			return nil, fmt.Errorf("not an address")
		}
		all = append(all, uint16(port))
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// maxAge reads a duration. The protocol counts in seconds.
func maxAge(v any) (time.Duration, error) {
	if v == nil || v == int64(0) || v == json.Number("0") {
		return 0, nil
	}
	text, _ := v.(string)
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxMaxAge || d%time.Second != 0 {
		return 0, fmt.Errorf("not a duration of whole seconds")
	}
	return d, nil
}

// size reads a number of bytes.
func size(v any) (int64, error) {
	text, factor := "", int64(1)
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		text = strconv.FormatInt(v, 10)
	case json.Number:
		text = v.String()
	case string:
		text = v
		for unit, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
			if number, found := strings.CutSuffix(v, unit); found {
				text, factor = strings.TrimSpace(number), n
			}
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/factor || n*factor < minMemory {
		return 0, fmt.Errorf("not a size")
	}
	return n * factor, nil
}
