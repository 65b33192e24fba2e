package signing_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// seed adds what the readers get: the vectors, parts of them, and the JSON in
// them, which the targets also sign.
func seed(f *testing.F) {
	f.Helper()
	for _, v := range vectors(f) {
		f.Add(v.Signed)
		f.Add("dstok_" + v.Signed)
		f.Add(v.Signed[:len(v.Signed)/2])
	}
	for _, text := range []string{
		"", ".", "..", `{"a":{"id":"root"},"e":"CEIkYu"}`, `{"a":{"id":"x"},"e":1893456000}`,
		`{"a":"root","t":1700000000,"d":3600,"_r":{"a":["vi"]}}`, `{"a":1,"t":-1,"d":-9223372036854775808}`,
	} {
		f.Add(text)
	}
}

func FuzzUnsign(f *testing.F) {
	seed(f)
	known := map[string]bool{}
	for _, v := range vectors(f) {
		known[v.Signed] = true
	}
	s := signing.New(secret)
	f.Fuzz(func(t *testing.T, text string) {
		for _, namespace := range []string{"actor", "token", "messages"} {
			var got any
			if s.Unsign(namespace, text, &got) == nil && !known[text] {
				t.Errorf("forged %q", text)
			}
			if s.Unsign(namespace, signPayload(namespace, text), &got) != nil {
				continue
			}
			again, err := s.Sign(namespace, got)
			if err != nil {
				t.Fatal(err)
			}
			var back any
			if err := s.Unsign(namespace, again, &back); err != nil || !reflect.DeepEqual(got, back) {
				t.Errorf("%#v came back as %#v, %v", got, back, err)
			}
		}
	})
}

func FuzzActorCookie(f *testing.F) {
	seed(f)
	s := signing.New(secret)
	f.Fuzz(func(t *testing.T, text string) {
		for _, cookie := range []string{text, signJSON("actor", text), signPayload("actor", text)} {
			if actor, ok := s.Actor(cookie, now()); ok != (len(actor) > 0) {
				t.Errorf("%q: got %v, %v", cookie, actor, ok)
			}
		}
		s.Messages(text)
		s.Messages(signJSON("messages", text))
	})
}

func FuzzToken(f *testing.F) {
	seed(f)
	s := signing.New(secret)
	f.Fuzz(func(t *testing.T, text string) {
		for _, token := range []string{text, "dstok_" + text, "dstok_" + signJSON("token", text)} {
			for _, maxTTL := range []int64{0, 1 << 40} {
				actor, err := s.VerifyToken(token, now(), maxTTL)
				if (err == nil) != (actor["id"] != nil) {
					t.Errorf("%q: got %v, %v", token, actor, err)
				}
				if _, limited := actor["token_expires"]; err == nil && maxTTL > 0 && !limited {
					t.Errorf("%q escapes the longest life: %v", token, actor)
				}
			}
		}
	})
}

func FuzzBase62(f *testing.F) {
	for _, text := range []string{"", "A", "CEIkYu", "BFftgQ", "!!", "-", "-F", "1893456000", "KzVInA8FImH", "KzVInA8FImI"} {
		f.Add(text, int64(len(text)))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		if got, err := signing.DecodeBase62(signing.EncodeBase62(n)); err != nil || got != n {
			t.Errorf("%d came back as %d, %v", n, got, err)
		}
		got, err := signing.DecodeBase62(text)
		if err != nil || strings.HasPrefix(strings.TrimPrefix(text, "-"), "A") {
			return // not a number, or one with leading zeros
		}
		if again := signing.EncodeBase62(got); again != text {
			t.Errorf("%q came back as %q", text, again)
		}
	})
}
