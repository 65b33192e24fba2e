package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

// getFlags ask for one page instead of serving.
type getFlags struct {
	path    string
	headers bool
	token   string
	actor   string
}

func (f *getFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.path, "get", "", "print the page at this path and exit; the code is 0 if its status is 200")
	flags.BoolVar(&f.headers, "headers", false, "with --get, print the status and headers as well")
	flags.StringVar(&f.token, "token", "", "with --get, send this API token")
	flags.StringVar(&f.actor, "actor", "", "with --get, be this actor: JSON such as '{\"id\": \"root\"}'")
}

func (f *getFlags) check() error {
	switch {
	case f.path != "":
		return nil
	case f.headers:
		return errors.New("--headers can only be used with --get")
	case f.token != "":
		return errors.New("--token can only be used with --get")
	case f.actor != "":
		return errors.New("--actor can only be used with --get")
	}
	return nil
}

// run asks the host's handler for one page, without a network.
func (f *getFlags) run(ctx context.Context, stdout io.Writer, opened *host.Host) error {
	request, err := f.request(ctx, opened)
	if err != nil {
		return err
	}
	answer := &recorder{header: http.Header{}}
	opened.Handler().ServeHTTP(answer, request)
	if f.headers {
		answer.writeHeaders(stdout)
	}
	if _, err := fmt.Fprintln(stdout, answer.body.String()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	if answer.status != http.StatusOK {
		return quietError{}
	}
	return nil
}

func (f *getFlags) request(ctx context.Context, opened *host.Host) (*http.Request, error) {
	if !strings.HasPrefix(f.path, "/") {
		return nil, usagef("Invalid value for '--get': the path must begin with /")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+f.path, nil)
	if err != nil {
		return nil, usagef("Invalid value for '--get': it is not the path of a page")
	}
	if f.token != "" {
		request.Header.Set("Authorization", "Bearer "+f.token)
	}
	if f.actor != "" {
		decoder := json.NewDecoder(strings.NewReader(f.actor))
		decoder.UseNumber()
		var actor secrets.Actor
		if err := decoder.Decode(&actor); err != nil || actor == nil {
			return nil, errors.New(`--actor must be a JSON object, such as '{"id": "root"}'`)
		}
		cookie, err := opened.ActorCookie(actor)
		if err != nil {
			return nil, err
		}
		request.AddCookie(cookie)
	}
	return request, nil
}

// recorder keeps a response.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(data []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(data)
}

func (r *recorder) writeHeaders(w io.Writer) {
	fmt.Fprintf(w, "HTTP/1.1 %d\n", r.status)
	var lines []string
	for name, values := range r.header {
		for _, value := range values {
			lines = append(lines, strings.ToLower(name)+": "+value)
		}
	}
	sort.Strings(lines)
	fmt.Fprintf(w, "%s\n\n", strings.Join(lines, "\n"))
}
