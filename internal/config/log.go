package config

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// LogConfig says how the log of acts is written and how much of it is kept.
// Its zero value is the default: durable, forever, and its heads nowhere else.
type LogConfig struct {
	Relaxed bool          // answers do not wait for the disk
	Heads   []string      // where signed heads are kept too: absolute paths and URLs
	Entries int64         // how many of the newest stay readable; 0 for all
	Age     time.Duration // how long entries stay readable; 0 for ever
}

const maxHeads = 8 // places for signed heads

// logConfig reads the keys audit and log.
func logConfig(b map[string]any) (c LogConfig, err error) {
	mode, heads := b["audit"], any(nil)
	if block, ok := mode.(map[string]any); ok {
		for key := range block {
			if key != "mode" && key != "heads" {
				return c, fmt.Errorf("plugins.%s.audit: unknown key %q; %s", Name, clip(key), suggestion(key, []string{"mode", "heads"}))
			}
		}
		mode, heads = block["mode"], block["heads"]
	}
	switch mode {
	case nil, "durable":
	case "relaxed":
		c.Relaxed = true
	default:
		return c, fmt.Errorf("plugins.%s.audit: should be durable or relaxed, or a mapping with mode and heads", Name)
	}
	if c.Heads, err = headPlaces(heads); err != nil {
		return c, err
	}
	log, ok := b["log"].(map[string]any)
	if !ok && b["log"] != nil {
		return c, fmt.Errorf("plugins.%s.log: should be a mapping with keep, not %s", Name, kind(b["log"]))
	}
	for key := range log {
		if key != "keep" {
			return c, fmt.Errorf("plugins.%s.log: unknown key %q; %s", Name, clip(key), suggestion(key, []string{"keep"}))
		}
	}
	c.Entries, c.Age, err = keep(log["keep"])
	return c, err
}

// keep reads how much of the log stays readable: a number of entries, a number
// of days such as 90d, or forever.
func keep(v any) (entries int64, age time.Duration, err error) {
	const maxDays = 36500
	wrong := fmt.Errorf("plugins.%s.log.keep: should be forever, a number of entries such as 10000, or a number of days such as 90d", Name)
	text := ""
	switch v := v.(type) {
	case nil:
		return 0, 0, nil
	case json.Number:
		text = v.String()
	case int64:
		text = strconv.FormatInt(v, 10)
	case string:
		text = v
	}
	if text == "forever" {
		return 0, 0, nil
	}
	number, days := strings.CutSuffix(text, "d")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || days && n > maxDays {
		return 0, 0, wrong
	}
	if days {
		return 0, time.Duration(n) * 24 * time.Hour, nil
	}
	return n, 0, nil
}

// headPlaces reads where signed heads are kept too.
func headPlaces(v any) (places []string, err error) {
	list, ok := v.([]any)
	if v != nil && !ok || len(list) > maxHeads {
		return nil, fmt.Errorf("plugins.%s.audit.heads: should be a list of at most %d paths and addresses", Name, maxHeads)
	}
	for i, one := range list {
		place, _ := one.(string)
		if !filepath.IsAbs(place) && !safeAddress(place) {
			return nil, fmt.Errorf("plugins.%s.audit.heads: number %d should be an absolute path or an https:// address", Name, i+1)
		}
		places = append(places, place)
	}
	return places, nil
}

// safeAddress reports whether a text is the address of a server that nobody on
// the way can pretend to be.
func safeAddress(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && ip != nil && ip.IsLoopback()
}
