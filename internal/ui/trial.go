package ui

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxTesters is how many plugins test one value. What they say has to fit into
// a cookie.
const maxTesters = 3

// testSecret lets plugins try out the value of a secret, and shows what they
// say on the secret's page.
func (s *site) testSecret(w http.ResponseWriter, r *request) error {
	v, _, err := s.changeable(r, vault.ActionGet)
	if err != nil {
		return err
	}
	if !s.flashTests(r, v.Name) {
		r.flash(signing.Warning, "No plugin tests the value of "+v.Name+" now")
	}
	return s.redirect(w, r, s.secretURL(v.Name, ""))
}

// untested leads back from an address that only a form is sent to.
func (s *site) untested(w http.ResponseWriter, r *request) error {
	return s.redirect(w, r, s.secretURL(r.name(), ""))
}

// testers are the plugins that test a value, as many as are asked.
func (s *site) testers(r *request, name string) []string {
	able := s.Hooks.Validators(r.Context(), name)
	return able[:min(len(able), maxTesters)]
}

// flashTests tells what the plugins say of the value of a secret. It tells
// whether there was one to ask.
func (s *site) flashTests(r *request, name string) bool {
	able := s.testers(r, name)
	messages := make([]signing.Message, len(able))
	var asked sync.WaitGroup
	for i, plugin := range able {
		asked.Go(func() {
			result, err := s.Hooks.TestSecret(r.Context(), r.caller, plugin, name)
			messages[i] = s.testMessage(r, plugin, name, result, err)
		})
	}
	asked.Wait()
	r.pending = append(r.pending, messages...)
	return len(able) > 0
}

func (s *site) testMessage(r *request, plugin, name string, result secrets.TestResult, err error) signing.Message {
	if err != nil {
		return signing.Message{Type: signing.Warning, Text: fmt.Sprintf("Plugin %s could not test %s: %s", plugin, name, s.untestable(r, err))}
	}
	message := signing.Message{Type: signing.Error, Text: fmt.Sprintf("Plugin %s says that %s does not work", plugin, name)}
	if result.OK {
		message = signing.Message{Type: signing.Info, Text: fmt.Sprintf("Plugin %s says that %s works", plugin, name)}
	}
	if result.Message != "" {
		message.Text += ": " + result.Message
	}
	return message
}

// untestable says why a value could not be tested.
func (s *site) untestable(r *request, err error) string {
	if errors.Is(err, secrets.ErrUnavailable) {
		return sentence(err, secrets.ErrUnavailable)
	}
	if p, known := explain(err); known {
		return p.text
	}
	return s.internal(r, err).text
}
