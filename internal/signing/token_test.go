package signing_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// created is the "t" of the tokens in these tests.
const created = 1700000000

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, payload, want string }{
		{"no timestamp", `{"a":"root"}`, "Invalid token: no timestamp"},
		{"capital letter", `{"a":"root","T":1700000000}`, "Invalid token: no timestamp"},
		{"not an object", `["t"]`, "Invalid token: no timestamp"},
		{"null", `null`, "Invalid token: no timestamp"},
		{"timestamp null", `{"a":"root","t":null}`, "Invalid token: invalid timestamp"},
		{"timestamp text", `{"a":"root","t":"1700000000"}`, "Invalid token: invalid timestamp"},
		{"timestamp float", `{"a":"root","t":1700000000.0}`, "Invalid token: invalid timestamp"},
		{"timestamp bool", `{"a":"root","t":true}`, "Invalid token: invalid timestamp"},
		{"timestamp too large", `{"a":"root","t":99999999999999999999}`, "Invalid token: invalid timestamp"},
		{"duration text", `{"a":"root","t":1700000000,"d":"60"}`, "Invalid token: invalid duration"},
		{"duration float", `{"a":"root","t":1700000000,"d":60.0}`, "Invalid token: invalid duration"},
		{"duration bool", `{"a":"root","t":1700000000,"d":true}`, "Invalid token: invalid duration"},
		{"timestamp before duration", `{"a":"root","t":"","d":""}`, "Invalid token: invalid timestamp"},
		{"expired", `{"a":"root","t":1699999000,"d":999}`, "Token has expired"},
		{"negative duration", `{"a":"root","t":1700000000,"d":-1}`, "Token has expired"},
		{"very negative duration", `{"a":"root","t":-5,"d":-9223372036854775808}`, "Token has expired"},
		{"no actor", `{"t":1700000000}`, "Invalid token: no actor"},
		{"actor null", `{"a":null,"t":1700000000}`, "Invalid token: no actor"},
		{"actor true", `{"a":true,"t":1700000000}`, "Invalid token: no actor"},
		{"actor object", `{"a":{"id":"root"},"t":1700000000}`, "Invalid token: no actor"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			actor, err := signing.New(secret).VerifyToken("dstok_"+signJSON("token", c.payload), now(), 0)
			if err == nil || err.Error() != c.want || actor != nil {
				t.Errorf("got %v, %v; want %q", actor, err, c.want)
			}
			if reason, ok := errors.AsType[signing.TokenError](err); !ok || string(reason) != c.want {
				t.Errorf("%#v is no TokenError", err)
			}
		})
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	const good = "dstok_eyJhIjoicm9vdCIsInQiOjE3MDAwMDAwMDB9._5rb1grWH30CfumlU9xTomt6woo"
	cases := map[string]struct {
		text string
		want error
	}{
		"good":             {good, nil},
		"only the prefix":  {"dstok_", signing.ErrTokenSignature},
		"cut":              {good[:len(good)-1], signing.ErrTokenSignature},
		"padding":          {good + "=", signing.ErrTokenSignature},
		"a cookie":         {"dstok_" + rootCookie, signing.ErrTokenSignature},
		"other namespace":  {"dstok_" + signJSON("actor", `{"a":"root","t":1700000000}`), signing.ErrTokenSignature},
		"prefix twice":     {"dstok_" + good, signing.ErrTokenSignature},
		"no prefix":        {good[len("dstok_"):], signing.ErrTokenPrefix},
		"capital prefix":   {"DSTOK_" + good[len("dstok_"):], signing.ErrTokenPrefix},
		"empty":            {"", signing.ErrTokenPrefix},
		"space in between": {"dstok_ " + good[len("dstok_"):], signing.ErrTokenSignature},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			actor, err := signing.New(secret).VerifyToken(c.text, now(), 0)
			if !errors.Is(err, c.want) || (err != nil) != (actor == nil) {
				t.Errorf("got %v, %v; want %v", actor, err, c.want)
			}
		})
	}
	if _, err := signing.New("2").VerifyToken(good, now(), 0); !errors.Is(err, signing.ErrTokenSignature) {
		t.Errorf("other secret: got %v", err)
	}
}

// TestTokenLifetime: the effective duration is the smaller of the token's and
// the host's, whichever there are.
func TestTokenLifetime(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, d string
		maxTTL  int64
		lives   int64 // seconds; 0: for ever
	}{
		{"neither", `null`, 0, 0},
		{"zero is no duration", `0`, 0, 0},
		{"duration", `60`, 0, 60},
		{"host's", `null`, 100, 100},
		{"zero does not escape the host's", `0`, 100, 100},
		{"duration is shorter", `60`, 100, 60},
		{"host's is shorter", `600`, 100, 100},
		{"equal", `100`, 100, 100},
		{"a negative limit is none", `60`, -1, 60},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := signing.New(secret)
			text := "dstok_" + signJSON("token", `{"a":"root","t":1700000000,"d":`+c.d+`}`)
			want := map[string]any{"id": "root", "token": "dstok"}
			if c.lives == 0 {
				c.lives = 1 << 40
			} else {
				want["token_expires"] = int64(created) + c.lives
				late := time.Unix(created+c.lives, 1)
				if actor, err := s.VerifyToken(text, late, c.maxTTL); !errors.Is(err, signing.ErrTokenExpired) {
					t.Errorf("just after: got %v, %v", actor, err)
				}
			}
			actor, err := s.VerifyToken(text, time.Unix(created+c.lives, 0), c.maxTTL)
			if err != nil || !reflect.DeepEqual(actor, want) {
				t.Errorf("at the last moment: got %v, %v; want %v", actor, err, want)
			}
		})
	}
}

func TestTokenDurationDoesNotWrap(t *testing.T) {
	t.Parallel()
	text := "dstok_" + signJSON("token", `{"a":"root","t":1700000000,"d":9223372036854775807}`)
	if _, err := signing.New(secret).VerifyToken(text, now(), 0); err != nil {
		t.Error(err)
	}
}

func TestTokenRestrictions(t *testing.T) {
	t.Parallel()
	const text = "dstok_.eJyrVkpUslIqys8vUdJRKlGyMjQ3gAIdpRQlK2MzECO-SMmqGqQwWqksE6guNzEvMT1Vtzg1uSi1pFgptrYWAI4zE-k.adm0KykBKf0uOz5EwiZX9C6K74s"
	actor, err := signing.New(secret).VerifyToken(text, now(), 0)
	want := map[string]any{
		"id": "root", "token": "dstok", "token_expires": int64(created + 3600),
		"_r": map[string]any{"a": []any{"vi", "manage-secrets"}},
	}
	if err != nil || !reflect.DeepEqual(actor, want) {
		t.Errorf("got %v, %v; want %v", actor, err, want)
	}
}

// TestTokenKeepsOddRestrictions: a restriction that makes no sense must not
// turn into no restriction.
func TestTokenKeepsOddRestrictions(t *testing.T) {
	t.Parallel()
	for _, r := range []string{`null`, `""`, `"x"`, `[]`, `false`, `0`, `{}`} {
		text := "dstok_" + signJSON("token", `{"a":"root","t":1700000000,"_r":`+r+`}`)
		actor, err := signing.New(secret).VerifyToken(text, now(), 0)
		if _, ok := actor["_r"]; err != nil || !ok {
			t.Errorf("_r %s: got %v, %v", r, actor, err)
		}
	}
}

func TestSignToken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		token signing.Token
		want  string
	}{
		{signing.Token{Actor: "root", Created: created}, `{"a":"root","t":1700000000}`},
		{signing.Token{Actor: json.Number("7"), Created: created, Duration: 60}, `{"a":7,"t":1700000000,"d":60}`},
		{signing.Token{Actor: "x", Created: created, Restrictions: map[string]any{}}, `{"a":"x","t":1700000000,"_r":{}}`},
		{
			signing.Token{Actor: "x", Created: created, Restrictions: map[string]any{"a": []string{"vi"}}},
			`{"a":"x","t":1700000000,"_r":{"a":["vi"]}}`,
		},
	}
	s := signing.New(secret)
	for _, c := range cases {
		got, err := s.SignToken(c.token)
		if want := "dstok_" + signJSON("token", c.want); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
		if _, err := s.VerifyToken(got, now(), 0); err != nil {
			t.Errorf("%s: %v", c.want, err)
		}
	}
	if text, err := signing.New("").SignToken(cases[0].token); err == nil {
		t.Errorf("signed without a secret: %s", text)
	}
}
