package ui

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	htmlType = "text/html; charset=utf-8"
	jsonType = "application/json; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// handler answers one request, or returns an error and writes nothing.
type handler func(w http.ResponseWriter, r *request) error

// handle runs a handler for whoever asks, and writes the error it returns.
func (s *site) handle(serve handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r, err := s.identify(hr)
		if err == nil {
			s.askPlugins(r)
		}
		r.note(w)
		if err == nil {
			err = s.guard(serve, w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// handleFile is handle for what everybody gets, whoever they are.
func (s *site) handleFile(serve handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr, path: rawPath(hr)}
		r.note(w)
		if err := s.guard(serve, w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// guard turns a panic into an error. What was panicked with is logged only
// when it is the runtime's own: anything else might hold a value.
func (s *site) guard(serve handler, w http.ResponseWriter, r *request) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		default:
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = fmt.Errorf("panic with a %T\n%s", v, debug.Stack())
		}
	}()
	return serve(w, r)
}

// redirect sends the browser to a local path, with the pending messages.
func (s *site) redirect(w http.ResponseWriter, r *request, location string) error {
	if err := s.keepMessages(w, r); err != nil {
		return err
	}
	w.Header().Set("Location", oneSlash(location))
	writeBody(w, r, http.StatusFound, textType, nil)
	return nil
}

// oneSlash keeps a local redirect local: browsers read "//host" and "/\host"
// as the address of another host.
func oneSlash(location string) string {
	if strings.HasPrefix(location, "/") {
		return "/" + strings.TrimLeft(location, `/\`)
	}
	return location
}

// json answers with v and sends the pending messages on.
func (s *site) json(w http.ResponseWriter, r *request, v any) error {
	if err := s.keepMessages(w, r); err != nil {
		return err
	}
	s.writeJSON(w, r, http.StatusOK, v)
	return nil
}

func (s *site) writeJSON(w http.ResponseWriter, r *request, status int, v any) {
	writeBody(w, r, status, jsonType, []byte(pythonJSON(v)))
}

// writeBody writes a whole response. A failing write means that the client has
// gone: there is nobody to tell.
func writeBody(w http.ResponseWriter, r *request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
