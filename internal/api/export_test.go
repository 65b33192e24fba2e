package api

import (
	"net/http"
	"net/url"
)

// CodeOf is the code of an error.
func CodeOf(err error) string {
	p, _ := explain(err)
	return string(p.code)
}

// ParseJSON is parseJSON.
func ParseJSON(data []byte, v any) error { return parseJSON(data, v) }

// Find is the address of the table that an escaped path is, below a base_url,
// and the segment that is its {name}.
func Find(baseURL, path string) (address, name string) {
	s := &site{bases: bases(baseURL)}
	s.rows = s.labelled()
	row, name := s.find(path)
	return row.path, name
}

// Query is the query of a request.
func Query(raw, known string) ([]string, error) {
	r := &request{Request: &http.Request{URL: &url.URL{RawQuery: raw}}}
	return r.query(known)
}
