package token_test

import (
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/token"
)

func TestURI(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"pkcs11:": "pkcs11:",
		"pkcs11:token=prod;object=datasette-secrets?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin": "pkcs11:token=prod;object=datasette-secrets?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin",
		// Examples of RFC 7512, but for their modules and PINs.
		"pkcs11:object=my-pubkey;type=public": "pkcs11:object=my-pubkey;type=public",
		"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin": "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;id=%69%95%3E%5C%F4%BD%EC%91;type=private?pin-source=file:/etc/token_pin",
		"pkcs11:object=my-sign-key;type=private?pin-source=file:///etc/token":                                             "pkcs11:object=my-sign-key;type=private?pin-source=file:/etc/token",
		"pkcs11:slot-description=Sun%20Metaslot":                                                                          "pkcs11:slot-description=Sun%20Metaslot",
		"pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;library-version=1.23": "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;library-version=1.23",
		"pkcs11:token=Software%20PKCS%2311%20softtoken%20%C3%A9":                                                          "pkcs11:token=Software%20PKCS%2311%20softtoken%20%C3%A9",
		"PKCS11:slot-id=007?pin-source=env:HSM_PIN":                                                                       "pkcs11:slot-id=7?pin-source=env:HSM_PIN",
		"pkcs11:slot-manufacturer=a%3Bb%26c":                                                                              "pkcs11:slot-manufacturer=a%3Bb%26c",
		"pkcs11:id=%00%ff":                                                                                                "pkcs11:id=%00%FF",
	} {
		u, err := token.ParseURI(text)
		if err != nil || u.String() != want {
			t.Errorf("%s\n got %s, %v\nwant %s", text, u, err, want)
		}
	}
}

// Whatever is refused, the error says what is wrong and shows no PIN.
func TestURIRefuses(t *testing.T) {
	t.Parallel()
	const pin = "hunter2"
	for text, want := range map[string]string{
		"":                                          "must begin with pkcs11:",
		"https://example.com":                       "must begin with pkcs11:",
		"pkcs11:token":                              "must consist of name=value",
		"pkcs11:=x":                                 "must consist of name=value",
		"pkcs11:token=a;;object=b":                  "must consist of name=value",
		"pkcs11:token=a;token=b":                    "gives token twice",
		"pkcs11:token=%zz":                          "hexadecimal",
		"pkcs11:token=%ff":                          "not text",
		"pkcs11:token=a%00b":                        "not text",
		"pkcs11:slot-id=one":                        "no number",
		"pkcs11:slot-id=-1":                         "no number",
		"pkcs11:slot-id=99999999999999999999999":    "no number",
		"pkcs11:type=cert":                          "secret-key or private",
		"pkcs11:colour=red":                         "none of: token",
		"pkcs11:" + pin + "=x":                      "none of: token",
		"pkcs11:?pin-value=" + pin:                  "has a pin-value, which others can see",
		"pkcs11:pin-value=" + pin:                   "none of: token",
		"pkcs11:?" + pin + "=x&" + pin + "=y":       "none of: module-path",
		"pkcs11:?module-name=softhsm2":              "give the path of the file",
		"pkcs11:?module-path=lib.so":                "not absolute",
		"pkcs11:?module-path=":                      "not absolute",
		"pkcs11:?pin-source=" + pin:                 "neither file:",
		"pkcs11:?pin-source=|/bin/cat":              "neither file:",
		"pkcs11:?pin-source=https://x/pin":          "neither file:",
		"pkcs11:?pin-source=env:":                   "names no environment variable",
		"pkcs11:?x-vendor=1":                        "none of: module-path",
		"pkcs11:token=" + strings.Repeat("a", 4096): "at most 4096",
	} {
		_, err := token.ParseURI(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), pin) {
			t.Errorf("%q: the error shows what may be a PIN: %v", text, err)
		}
	}
}

// What is read can be written, and read again as the same.
func FuzzURI(f *testing.F) {
	f.Add("pkcs11:token=prod;object=k;id=%01;slot-id=3?module-path=/a&pin-source=file:/b")
	f.Add("pkcs11:token=%C3%A9?pin-source=env:X")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := token.ParseURI(text)
		if err != nil {
			return
		}
		again, err := token.ParseURI(first.String())
		if len(first.String()) > 4096 { // everything escaped
			return
		}
		if err != nil || again.String() != first.String() {
			t.Fatalf("%q becomes %q, and that %q, %v", text, first, again, err)
		}
	})
}
