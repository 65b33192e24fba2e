package signing_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// vector is a value that itsdangerous signed.
type vector struct {
	Name, Secret, Namespace, Signed string
	Value                           any
}

func vectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.Open("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dec := json.NewDecoder(file)
	dec.UseNumber()
	var vs []vector
	if err := dec.Decode(&vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) == 0 {
		t.Fatal("no vectors")
	}
	return vs
}

func TestVectorsUnsign(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			var got any
			if err := signing.New(v.Secret).Unsign(v.Namespace, v.Signed, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, v.Value) {
				t.Errorf("got %#v, want %#v", got, v.Value)
			}
		})
	}
}

// TestVectorsSign compares bytes wherever Python did not compress, and the
// value after a round trip everywhere.
func TestVectorsSign(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			s := signing.New(v.Secret)
			signed, err := s.Sign(v.Namespace, v.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(v.Signed, ".") && signed != v.Signed {
				t.Errorf("got %s, want %s", signed, v.Signed)
			}
			var got any
			if err := s.Unsign(v.Namespace, signed, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, v.Value) {
				t.Errorf("round trip: got %#v, want %#v", got, v.Value)
			}
		})
	}
}
