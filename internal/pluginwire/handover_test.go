package pluginwire_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const handoverKey = "0123456789abcdef0123456789abcdef"

func handoverTime() time.Time { return time.Unix(1700000000, 0) }

func ada() pluginwire.Handover {
	return pluginwire.Handover{
		Actor: secrets.Actor{"id": "ada", "n": json.Number("9007199254740993"), "name": "<Ada & é>"}, Token: "t.o",
		Method: "GET", Path: "/a%2Fb?x=1&y=%20", Expires: handoverTime(),
	}
}

func sign(t testing.TB, h pluginwire.Handover) string {
	t.Helper()
	signed, err := h.Sign([]byte(handoverKey))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// macOf signs any text, as an odd host might.
func macOf(text string) string {
	payload := base64.RawURLEncoding.EncodeToString([]byte(text))
	mac := hmac.New(sha256.New, []byte(handoverKey))
	mac.Write([]byte(payload))
	return payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestHandoverArrives(t *testing.T) {
	t.Parallel()
	nobody := ada()
	nobody.Actor, nobody.Token = nil, ""
	for _, sent := range []pluginwire.Handover{ada(), nobody} {
		got, err := pluginwire.ReadHandover([]byte(handoverKey), sign(t, sent), sent.Method, sent.Path, handoverTime())
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("%v came back as %v, %v", sent, got, err)
		}
	}
}

// The form is what the SDKs of other languages read.
func TestHandoverForm(t *testing.T) {
	t.Parallel()
	want := `{"actor":{"id":"ada","n":9007199254740993,"name":"<Ada & é>"},"token":"t.o","method":"GET","path":"/a%2Fb?x=1&y=%20","expires":1700000000}`
	if got := sign(t, ada()); got != macOf(want) {
		t.Errorf("got %s, want %s", got, macOf(want))
	}
}

func TestHandoverIsForOneRequest(t *testing.T) {
	t.Parallel()
	signed := sign(t, ada())
	cases := []struct {
		name, key, method, path string
		late                    time.Duration
	}{
		{"another key", "x" + handoverKey[1:], "GET", ada().Path, 0},
		{"no key", "", "GET", ada().Path, 0},
		{"another method", handoverKey, "POST", ada().Path, 0},
		{"another path", handoverKey, "GET", "/a/b?x=1&y=%20", 0},
		{"another query", handoverKey, "GET", "/a%2Fb?x=1", 0},
		{"too late", handoverKey, "GET", ada().Path, time.Second},
	}
	for _, c := range cases {
		if got, err := pluginwire.ReadHandover([]byte(c.key), signed, c.method, c.path, handoverTime().Add(c.late)); err == nil {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestHandoverForgeries(t *testing.T) {
	t.Parallel()
	signed := sign(t, ada())
	forgeries := []string{"", ".", "..", signed + "A", signed + "=", signed + "\n", " " + signed, signed + "." + signed, strings.Repeat("A", 40<<10)}
	for i := range len(signed) {
		flipped := []byte(signed)
		flipped[i] ^= 1
		forgeries = append(forgeries, string(flipped), signed[:i])
	}
	for _, text := range []string{`null`, `[]`, `{`, `{"actor":"ada"}`, `{"method":"GET"}`, `{"method":"GET","path":"/a%2Fb?x=1&y=%20","expires":"1700000000"}`} {
		forgeries = append(forgeries, macOf(text))
	}
	for _, forged := range forgeries {
		if got, err := pluginwire.ReadHandover([]byte(handoverKey), forged, "GET", ada().Path, handoverTime()); err == nil {
			t.Errorf("%.80q: got %v", forged, got)
		}
	}
}

func TestHandoverOfALargeActor(t *testing.T) {
	t.Parallel()
	large := ada()
	large.Actor["x"] = strings.Repeat("x", 40<<10)
	if _, err := large.Sign([]byte(handoverKey)); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	large.Actor["x"] = func() {}
	if _, err := large.Sign([]byte(handoverKey)); err == nil {
		t.Error("signed what is no JSON")
	}
}

func FuzzHandover(f *testing.F) {
	f.Add(sign(f, ada()))
	f.Add(`{"actor":{"id":"x"},"method":"GET","path":"/","expires":1700000000}`)
	f.Add("a.b")
	good := sign(f, ada())
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := pluginwire.ReadHandover([]byte(handoverKey), text, "GET", ada().Path, handoverTime()); err == nil && text != good {
			t.Errorf("forged %q: %v", text, got)
		}
		got, err := pluginwire.ReadHandover([]byte(handoverKey), macOf(text), "GET", "/", handoverTime())
		if err == nil && (got.Method != "GET" || got.Path != "/" || got.Expires.Before(handoverTime())) {
			t.Errorf("%q: got %v", text, got)
		}
	})
}
