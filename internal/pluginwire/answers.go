package pluginwire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Limits of what a host takes from the optional services of a plugin.
const (
	MaxLinks       = 20       // links of one plugin in a menu
	MaxLabel       = 100      // bytes of a link's label
	MaxHref        = 2000     // bytes of a link's address
	MaxActorJSON   = 16 << 10 // bytes of one actor
	MaxActorID     = 255      // bytes of an actor's id
	MaxIDs         = 100      // ids in one question
	MaxTestMessage = 300      // bytes of the message about a tested value
)

// CheckLink tells whether a link may stand in a menu: a label, and a path on
// the host or the address of a web page.
func CheckLink(href, label string) error {
	switch {
	case strings.TrimSpace(label) == "" || len(label) > MaxLabel || !printable(label):
		return fmt.Errorf("a label must be 1 to %d bytes of printable text", MaxLabel)
	case len(href) > MaxHref:
		return fmt.Errorf("an address must be at most %d bytes", MaxHref)
	case strings.ContainsAny(href, " \\") || !printable(href):
		// Browsers take a backslash for a slash, and skip what is not printable.
		return errors.New("an address must not contain spaces, backslashes and what is not printable")
	}
	u, err := url.Parse(href)
	if err != nil {
		return errors.New("an address must be a URL")
	}
	if strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "//") {
		return nil
	}
	if (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil {
		return nil
	}
	return errors.New("an address must be a path that begins with one slash, or an http or https URL")
}

// ReadSender reads the answer of an Authenticator, nil when it does not know
// who sent the request. A plugin that signs people in could name anybody, so
// this says what it may not do even then:
//
//   - The id is a text. It is not "root", in whatever case: root is who starts
//     the host, and --root gives it every right.
//   - No key begins with "_", such as the "_r" that restricts an actor, or with
//     "token", which says how an actor signed in. The host alone writes them. A
//     plugin's are not dropped but refuse the whole answer, for without its
//     restrictions an actor would be free.
func ReadSender(data []byte) (secrets.Actor, error) {
	if len(data) == 0 {
		return nil, nil
	}
	actor, err := readActor(data)
	if err != nil {
		return nil, err
	}
	id, _ := actor["id"].(string)
	switch {
	case id == "" || len(id) > MaxActorID || !printable(id) || strings.TrimSpace(id) != id:
		return nil, fmt.Errorf("the actor's id must be a text of 1 to %d printable bytes without spaces around it", MaxActorID)
	case strings.EqualFold(id, "root"):
		return nil, errors.New("the actor cannot be root")
	}
	for key := range actor {
		if strings.HasPrefix(key, "_") || strings.HasPrefix(strings.ToLower(key), "token") {
			return nil, errors.New("no key of the actor may begin with _ or with token")
		}
	}
	return actor, nil
}

// ReadKnown reads the actor with that id in an answer of Actors. Its names are
// for people to read, and decide nothing.
func ReadKnown(id string, data []byte) (secrets.Actor, error) {
	actor, err := readActor(data)
	if err != nil {
		return nil, err
	}
	if actor.ID() != id {
		return nil, errors.New("the actor's id must be the one that was asked for")
	}
	return actor, nil
}

func readActor(data []byte) (actor secrets.Actor, err error) {
	if len(data) > MaxActorJSON {
		return nil, fmt.Errorf("an actor must be at most %d bytes of JSON", MaxActorJSON)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if !utf8.Valid(data) || decoder.Decode(&actor) != nil || len(actor) == 0 {
		return nil, errors.New("an actor must be a JSON object")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("an actor must be one JSON object")
	}
	return actor, nil
}

// printable tells whether text is UTF-8 without control characters and the
// like, which would hide a part of it from a reader.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
