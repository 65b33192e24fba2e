package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// maxActor is how many characters the id of an actor may have.
const maxActor = 200

// request is an HTTP request and what is known about it.
type request struct {
	*http.Request
	id      string         // of this host's own making: one that is sent could be another's
	segment string         // of the path, as it was sent, where the table has {name}
	addr    netip.Addr     // that sent it; the zero Addr for a unix socket
	caller  secrets.Caller // who asks
	token   string         // that says so
	limit   int64          // bytes of the body
	answer  answer         // to it
}

func newRequest(w http.ResponseWriter, hr *http.Request, segment string) *request {
	r := &request{Request: hr, id: rand.Text()[:13], segment: segment, answer: answer{ResponseWriter: w}}
	if addr, err := netip.ParseAddrPort(hr.RemoteAddr); err == nil {
		r.addr = addr.Addr()
		r.caller.Remote = r.addr.String() // headers that claim another are not believed
	}
	r.caller.RequestID = r.id
	return r
}

// name is the name of the secret in the path, decoded once.
func (r *request) name() (string, error) {
	name, err := url.PathUnescape(r.segment)
	if err != nil || !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: the name in the path is not percent-encoded UTF-8", secrets.ErrInvalid)
	}
	return name, nil
}

// query returns the values of the one parameter that the address may have; with
// the name "" it may have none.
func (r *request) query(known string) (values []string, err error) {
	for rest := r.URL.RawQuery; rest != ""; {
		var pair string
		if pair, rest, _ = strings.Cut(rest, "&"); pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, badKey := url.QueryUnescape(key)
		value, badValue := url.QueryUnescape(value)
		if badKey != nil || badValue != nil || strings.Contains(pair, ";") {
			return nil, fmt.Errorf("%w: the query of the address cannot be read", secrets.ErrInvalid)
		}
		if known == "" || key != known {
			return nil, fmt.Errorf("%w: the address has a parameter that is not known here", secrets.ErrInvalid)
		}
		values = append(values, value)
	}
	return values, nil
}

// forActor adds the actor to the caller that the parameter of that name means.
// It is the client's word, no more.
func (r *request) forActor() error {
	ids, err := r.query("actor")
	if err != nil || ids == nil {
		return err
	}
	if len(ids) != 1 || ids[0] == "" || utf8.RuneCountInString(ids[0]) > maxActor || !utf8.ValidString(ids[0]) {
		return fmt.Errorf("%w: the parameter actor should be there once, with 1 to %d characters", secrets.ErrInvalid, maxActor)
	}
	r.caller.Actor, r.caller.Proof = secrets.NewActor(ids[0]), secrets.ProofAsserted
	return nil
}

// answer is a response, and the status that it had; 0 before it has one.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

const jsonType = "application/json"

// shortBody is how long a body may be, in bytes, of which net/http states the length
// by itself.
const shortBody = 2 << 10

// writeJSON sends a whole response. A failing write means that the client has gone:
// there is nobody to tell.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	if len(body) > shortBody {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeEmpty sends a response without a body.
func writeEmpty(w http.ResponseWriter, status int) {
	w.Header().Del("Content-Type")
	w.WriteHeader(status)
}

// guard turns a panic into an error. What was panicked with is logged only when
// it is the runtime's own: anything else might hold a value.
func (s *site) guard(w http.ResponseWriter, r *request, row *route) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		default:
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = errors.New("panic\n" + string(debug.Stack()))
		}
	}()
	return s.serve(w, r, row)
}
