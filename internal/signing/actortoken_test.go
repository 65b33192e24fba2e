package signing_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// forWeather is the namespace of actor tokens for the plugin "weather".
const forWeather = "datasette-secrets.actor-for-plugin.weather"

func weatherToken(t *testing.T, actor map[string]any, expires time.Time) string {
	t.Helper()
	token, err := signing.New(secret).SignActorToken(actor, "weather", expires)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestActorTokenKeepsTheActor(t *testing.T) {
	t.Parallel()
	for _, actor := range []map[string]any{
		{"id": "root"},
		{"id": "ada", "name": "Ada <b>", "tags": []any{"x", true, nil}},
		{"id": "ada", "token": "dstok", "_r": map[string]any{"a": []any{"vi"}}},
		{"id": "ada", "_r": nil},
		{"name": "without an id"},
	} {
		got, err := signing.New(secret).ReadActorToken(weatherToken(t, actor, now()), "weather", now())
		if err != nil || !reflect.DeepEqual(got, actor) {
			t.Errorf("%v came back as %v, %v", actor, got, err)
		}
	}
}

func TestActorTokenIsForOnePlugin(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	token := weatherToken(t, map[string]any{"id": "root"}, now())
	for _, plugin := range []string{"", "weathe", "weather2", "Weather", "weather.", "other", "weathersigner"} {
		if actor, err := s.ReadActorToken(token, plugin, now()); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%q: got %v, %v", plugin, actor, err)
		}
	}
}

func TestActorTokenExpires(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	token := weatherToken(t, map[string]any{"id": "root"}, now())
	if _, err := s.ReadActorToken(token, "weather", now()); err != nil {
		t.Errorf("at the last moment: %v", err)
	}
	for _, late := range []time.Duration{time.Nanosecond, time.Second, 1 << 62} {
		if actor, err := s.ReadActorToken(token, "weather", now().Add(late)); !errors.Is(err, signing.ErrTokenExpired) {
			t.Errorf("%v late: got %v, %v", late, actor, err)
		}
	}
}

func TestActorTokenIsNothingElse(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	actor := map[string]any{"id": "root"}
	cookie, err := s.SignActor(actor, now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	api, err := s.SignToken(signing.Token{Actor: "root", Created: created})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{cookie, api, strings.TrimPrefix(api, "dstok_")} {
		if actor, err := s.ReadActorToken(other, "weather", now()); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%s passes as an actor token: %v, %v", other, actor, err)
		}
	}
	token := weatherToken(t, actor, now().Add(time.Hour))
	if actor, ok := s.Actor(token, now()); ok {
		t.Errorf("an actor token passes as a cookie: %v", actor)
	}
	if actor, err := s.VerifyToken("dstok_"+token, now(), 0); err == nil {
		t.Errorf("an actor token passes as an API token: %v", actor)
	}
}

func TestActorTokenForgeries(t *testing.T) {
	t.Parallel()
	token := weatherToken(t, map[string]any{"id": "ada"}, now())
	other, err := signing.New("another secret").SignActorToken(map[string]any{"id": "root"}, "weather", now())
	if err != nil {
		t.Fatal(err)
	}
	_, mac, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(other, ".")
	forgeries := []string{
		"", ".", token[:len(token)-1], token + "A", token + "=", token + "\n", " " + token, other, payload + "." + mac, payload + ".",
	}
	for i := range len(token) {
		flipped := []byte(token)
		flipped[i] ^= 1
		forgeries = append(forgeries, string(flipped))
	}
	for _, forged := range forgeries {
		if actor, err := signing.New(secret).ReadActorToken(forged, "weather", now()); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%q: got %v, %v", forged, actor, err)
		}
		if actor, err := signing.New("").ReadActorToken(forged, "weather", now()); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%q without a secret: got %v, %v", forged, actor, err)
		}
	}
}

// What is signed but odd is refused too: it may have come from a later host.
func TestActorTokenOddities(t *testing.T) {
	t.Parallel()
	for _, json := range []string{
		`null`, `{}`, `[]`, `{"a":{"id":"x"}}`, `{"a":{"id":"x"},"e":null}`, `{"a":{"id":"x"},"e":"99999999999"}`,
		`{"a":{"id":"x"},"e":99999999999.5}`, `{"a":{"id":"x"},"e":1e10}`, `{"a":{"id":"x"},"e":99999999999999999999}`, `{"a":{"id":"x"},"E":99999999999}`,
		`{"A":{"id":"x"},"e":99999999999}`, `{"a":{},"e":99999999999}`, `{"a":"x","e":99999999999}`, `{"a":null,"e":99999999999}`,
	} {
		if actor, err := signing.New(secret).ReadActorToken(signJSON(forWeather, json), "weather", now()); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%s: got %v, %v", json, actor, err)
		}
	}
}

func TestActorTokensThatCannotBe(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	actor := map[string]any{"id": "ada"}
	cases := []struct {
		name    string
		signer  signing.Signer
		actor   map[string]any
		plugin  string
		expires time.Time
	}{
		{"nobody", s, nil, "weather", now()},
		{"an empty actor", s, map[string]any{}, "weather", now()},
		{"no plugin", s, actor, "", now()},
		{"no end", s, actor, "weather", time.Time{}},
		{"no secret", signing.New(""), actor, "weather", now()},
		{"the zero signer", signing.Signer{}, actor, "weather", now()},
		{"no JSON", s, map[string]any{"id": func() {}}, "weather", now()},
	}
	for _, c := range cases {
		if token, err := c.signer.SignActorToken(c.actor, c.plugin, c.expires); err == nil {
			t.Errorf("%s: got %s", c.name, token)
		}
	}
}

func FuzzActorToken(f *testing.F) {
	seed(f)
	f.Add(`{"a":{"id":"root"},"e":99999999999}`)
	f.Add(`{"a":{"id":"root"},"e":-1}`)
	s := signing.New(secret)
	f.Fuzz(func(t *testing.T, text string) {
		if actor, err := s.ReadActorToken(text, "weather", now()); err == nil {
			t.Errorf("forged %q: %v", text, actor)
		}
		actor, err := s.ReadActorToken(signJSON(forWeather, text), "weather", now())
		if (err == nil) != (len(actor) > 0) {
			t.Errorf("%q: got %v, %v", text, actor, err)
		}
		if _, err := s.ReadActorToken(signJSON(forWeather, text), "other", now()); err == nil {
			t.Errorf("%q is good for another plugin", text)
		}
	})
}
