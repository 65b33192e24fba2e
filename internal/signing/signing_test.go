package signing_test

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

const (
	secret     = "1"
	rootCookie = "eyJhIjp7ImlkIjoicm9vdCJ9fQ.DmNeLS7C2pcVsPrdPKs27yGvXPc"
)

// signPayload signs a payload as it is, as someone who knows the secret could.
// It is a second writing of the format, independent of the package.
func signPayload(namespace, payload string) string {
	key := sha1.Sum([]byte(namespace + "signer" + secret))
	mac := hmac.New(sha1.New, key[:])
	mac.Write([]byte(payload))
	return payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func signJSON(namespace, text string) string {
	return signPayload(namespace, base64.RawURLEncoding.EncodeToString([]byte(text)))
}

func deflated(t testing.TB, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return "." + base64.RawURLEncoding.EncodeToString(b.Bytes())
}

func TestForgedValuesAreRefused(t *testing.T) {
	t.Parallel()
	payload, mac, _ := strings.Cut(rootCookie, ".")
	admin := base64.RawURLEncoding.EncodeToString([]byte(`{"a":{"id":"admin"}}`))
	cases := map[string]string{
		"empty":                   "",
		"only a dot":              ".",
		"no signature":            payload,
		"empty signature":         payload + ".",
		"empty payload":           "." + mac,
		"other payload":           admin + "." + mac,
		"compressed mark added":   "." + rootCookie,
		"signature twice":         rootCookie + "." + mac,
		"signature cut by one":    rootCookie[:len(rootCookie)-1],
		"signature cut to a byte": payload + "." + mac[:2],
		"payload cut":             payload[1:] + "." + mac,
		"padding after signature": rootCookie + "=",
		"padding after payload":   payload + "==." + mac,
		"line break":              rootCookie + "\n",
		"line break inside":       payload + "." + mac[:5] + "\r\n" + mac[5:],
		"unused bits":             rootCookie[:len(rootCookie)-1] + "d",
		"not base64":              payload + ".!" + mac[1:],
		"standard alphabet":       signPayload("actor", "+/+/"),
		"zero signature":          payload + "." + strings.Repeat("A", 27),
	}
	for name, cookie := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got any
			err := signing.New(secret).Unsign("actor", cookie, &got)
			if !errors.Is(err, signing.ErrBadSignature) || got != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestEveryChangedCharacterIsRefused(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	for i := range len(rootCookie) {
		for _, c := range []byte("AZaz09-_.=") {
			changed := rootCookie[:i] + string(c) + rootCookie[i+1:]
			var got any
			if err := s.Unsign("actor", changed, &got); err == nil && changed != rootCookie {
				t.Errorf("accepted %s", changed)
			}
		}
	}
}

func TestKeysAreSeparate(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ secret, namespace string }{
		"other namespace":          {"1", "token"},
		"empty namespace":          {"1", ""},
		"other secret":             {"2", "actor"},
		"longer secret":            {"11", "actor"},
		"empty secret":             {"", "actor"},
		"namespace and secret mix": {"1", "actorsigner"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got any
			err := signing.New(c.secret).Unsign(c.namespace, rootCookie, &got)
			if !errors.Is(err, signing.ErrBadSignature) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestNoSecret: without a secret anybody could compute the signature, so such
// a Signer must not work at all.
func TestNoSecret(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]signing.Signer{"zero": {}, "empty": signing.New("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if signed, err := s.Sign("actor", 1); err == nil {
				t.Errorf("signed %s", signed)
			}
			key := sha1.Sum([]byte("actorsigner"))
			mac := hmac.New(sha1.New, key[:])
			mac.Write([]byte("MQ"))
			forged := "MQ." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			var got any
			if err := s.Unsign("actor", forged, &got); err == nil {
				t.Errorf("accepted %v", got)
			}
		})
	}
}

func TestSignedButUnreadable(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"empty payload":         signPayload("actor", ""),
		"empty compressed":      signPayload("actor", "."),
		"not zlib":              signPayload("actor", "."+strings.TrimPrefix(rootCookie[:26], ".")),
		"cut zlib":              signPayload("actor", deflated(t, []byte(`{"a":{"id":"root"}}`))[:20]),
		"not JSON":              signJSON("actor", "{"),
		"two JSON values":       signJSON("actor", "{} {}"),
		"junk after JSON":       signJSON("actor", `{"a":{"id":"root"}}x`),
		"not UTF-8":             signJSON("actor", "{\"a\":{\"id\":\"\xff\"}}"),
		"NaN, which Python has": signJSON("actor", `{"a":NaN}`),
		"padded payload":        signPayload("actor", "e30="),
	}
	for name, cookie := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got any
			err := signing.New(secret).Unsign("actor", cookie, &got)
			if !errors.Is(err, signing.ErrBadSignature) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestInflatedSizeIsCapped(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	const limit = 64 << 10
	text := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }

	var got string
	if err := s.Unsign("actor", signPayload("actor", deflated(t, text(limit))), &got); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	for _, n := range []int{limit + 1, 1 << 20} {
		err := s.Unsign("actor", signPayload("actor", deflated(t, text(n))), &got)
		if !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
}

// TestZipBombTakesLittleMemory is not parallel: it counts what is allocated.
func TestZipBombTakesLittleMemory(t *testing.T) {
	bomb := signPayload("actor", deflated(t, make([]byte, 8<<20)))
	s := signing.New(secret)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var got any
	if err := s.Unsign("actor", bomb, &got); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("allocated %d bytes for one cookie", got)
	}
}

func TestSignKeepsHTMLAndUnicode(t *testing.T) {
	t.Parallel()
	signed, err := signing.New(secret).Sign("default", "<b>&zoë ☃")
	if err != nil {
		t.Fatal(err)
	}
	payload, _, _ := strings.Cut(signed, ".")
	if data, _ := base64.RawURLEncoding.DecodeString(payload); string(data) != `"<b>&zoë ☃"` {
		t.Errorf("got %s", data)
	}
}

func TestSignRefusesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	if signed, err := signing.New(secret).Sign("default", func() {}); err == nil {
		t.Errorf("signed %s", signed)
	}
}

func TestSignerHidesItsSecret(t *testing.T) {
	t.Parallel()
	const text = "correct horse battery staple"
	s := signing.New(text)
	data, err := json.Marshal(struct{ Signer signing.Signer }{s})
	if err != nil {
		t.Fatal(err)
	}
	shown := string(data)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, struct{ s signing.Signer }{s})
	}
	if strings.Contains(shown, "horse") || strings.Contains(shown, fmt.Sprintf("%x", "horse")) {
		t.Errorf("the secret is shown: %s", shown)
	}
}
