package config

import (
	"fmt"
	"slices"
)

// Asset is a style sheet that the configuration adds to every page.
type Asset struct {
	URL string
	SRI string // subresource integrity hash; may be empty
}

// readAssets reads a list whose items are a URL or {url, sri}. A URL that
// comes again is dropped.
func readAssets(tree map[string]any, key string) ([]Asset, error) {
	if tree[key] == nil {
		return nil, nil
	}
	items, ok := tree[key].([]any)
	if !ok {
		return nil, fmt.Errorf("%s: should be a list of URLs, not %s", key, kind(tree[key]))
	}
	var assets []Asset
	for i, item := range items {
		asset, ok := readAsset(item)
		if !ok {
			return nil, fmt.Errorf("%s[%d]: should be a URL or a mapping with url and, if wanted, sri", key, i)
		}
		if !slices.ContainsFunc(assets, func(a Asset) bool { return a.URL == asset.URL }) {
			assets = append(assets, asset)
		}
	}
	return assets, nil
}

func readAsset(item any) (Asset, bool) {
	switch item := item.(type) {
	case string:
		return Asset{URL: item}, item != ""
	case map[string]any:
		url, ok := item["url"].(string)
		sri, text := item["sri"].(string)
		return Asset{URL: url, SRI: sri}, ok && url != "" && (text || item["sri"] == nil)
	}
	return Asset{}, false
}
