package config

// merge adds update to base. A mapping is merged into a mapping, key by key;
// anything else replaces what is there.
func merge(base, update map[string]any) {
	for key, value := range update {
		into, ok1 := base[key].(map[string]any)
		from, ok2 := value.(map[string]any)
		if ok1 && ok2 {
			merge(into, from)
			continue
		}
		base[key] = value
	}
}

// clone copies a tree, so that its receiver cannot change the original.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = clone(item)
		}
		return m
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = clone(item)
		}
		return items
	}
	return v
}
