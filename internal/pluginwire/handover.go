package pluginwire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// HandoverHeader is the header of every request that the host passes to a
// plugin's pages. It says who is signed in, and proves that the host says so.
const HandoverHeader = "Datasette-Secrets-Actor"

// maxHandover bounds the header, in bytes.
const maxHandover = 32 << 10

// errHandover is the same for whatever is wrong: only an impostor sees it.
var errHandover = errors.New("the request does not come from the host")

// Handover is what the host says about one request to a plugin's pages. It is
// good for that method and path alone, and for a short time.
type Handover struct {
	Actor   secrets.Actor // nil for nobody
	Token   string        // proves the actor to the host; empty for nobody
	Method  string
	Path    string // as the plugin sees it, escaped, with the query
	Expires time.Time
}

// handover is the form of a Handover on the wire.
type handover struct {
	Actor   secrets.Actor `json:"actor"`
	Token   string        `json:"token"`
	Method  string        `json:"method"`
	Path    string        `json:"path"`
	Expires int64         `json:"expires"` // Unix seconds
}

// Sign returns the value of the header: PAYLOAD.MAC, both in URL-safe Base64
// without padding, where MAC is the HMAC-SHA256 of PAYLOAD's text.
func (h Handover) Sign(key []byte) (string, error) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(handover{h.Actor, h.Token, h.Method, h.Path, h.Expires.Unix()}); err != nil {
		return "", fmt.Errorf("encoding who is signed in: %w", err)
	}
	payload := base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(data.Bytes(), []byte("\n")))
	signed := payload + "." + base64.RawURLEncoding.EncodeToString(handoverMAC(key, payload))
	if len(signed) > maxHandover {
		return "", fmt.Errorf("%w: the actor is too large to hand to a plugin", secrets.ErrInvalid)
	}
	return signed, nil
}

// ReadHandover checks the header of a request with this method and path, and
// returns what it says. Nothing of it is decoded before its MAC is found good.
func ReadHandover(key []byte, signed, method, path string, now time.Time) (Handover, error) {
	payload, mac, ok := strings.Cut(signed, ".")
	if !ok || len(signed) > maxHandover || len(key) == 0 || strings.ContainsAny(signed, "\r\n") { // which Base64 would skip
		return Handover{}, errHandover
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil || !hmac.Equal(given, handoverMAC(key, payload)) {
		return Handover{}, errHandover
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return Handover{}, errHandover
	}
	var h handover
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // an id may be a large number
	if decoder.Decode(&h) != nil {
		return Handover{}, errHandover
	}
	if h.Method != method || h.Path != path || now.Unix() > h.Expires {
		return Handover{}, errHandover
	}
	return Handover{h.Actor, h.Token, h.Method, h.Path, time.Unix(h.Expires, 0)}, nil
}

func handoverMAC(key []byte, payload string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(payload))
	return mac.Sum(nil)
}
