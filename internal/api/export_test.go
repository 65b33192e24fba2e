package api

// CodeOf is the code of an error.
func CodeOf(err error) string {
	p, _ := explain(err)
	return string(p.code)
}

// ParseJSON is parseJSON.
func ParseJSON(data []byte, v any) error { return parseJSON(data, v) }
