package token

import (
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"
)

// maxObjects bounds how many objects of one label or id are looked at.
const maxObjects = 16

// hmacSuffix is what the label of an HMAC key has that belongs to an AES key.
const hmacSuffix = "-hmac"

// key is the key that wraps.
type key struct {
	handle pkcs11.ObjectHandle
	rsa    bool // else AES
	info   KeyInfo
	label  []byte
	id     []byte

	alwaysAuthenticate bool
}

// findKey returns the one key that the URI means, which must be one that never
// leaves the token.
func (s *session) findKey() (key, error) {
	if s.uri.Object == "" && len(s.uri.ID) == 0 {
		return key{}, setup("the PKCS#11 URI names no key: add object=LABEL or id=%%01")
	}
	var found []key
	for _, class := range s.classes() {
		handles, err := s.find(class)
		if err != nil {
			return key{}, err
		}
		for _, handle := range handles {
			k, ok, err := s.describe(handle, class)
			if err != nil {
				return key{}, err
			}
			if ok {
				found = append(found, k)
			}
		}
	}
	switch len(found) {
	case 0:
		return key{}, setup("the token has no AES or private RSA key of that object or id; make one with: datasette-secrets hsm init")
	case 1:
	default:
		return key{}, setup("the token has %d keys of that object or id; add id, object or type to the URI", len(found))
	}
	k := found[0]
	if k.info.Extractable || !k.info.Sensitive {
		return key{}, setup("the key %q can be taken out of the token, so that it protects nothing; make another with: datasette-secrets hsm init", k.info.Label)
	}
	return k, nil
}

// classes are the classes of objects that can be meant.
func (s *session) classes() []uint {
	switch s.uri.Type {
	case "secret-key":
		return []uint{pkcs11.CKO_SECRET_KEY}
	case "private", "public": // what a public key wraps, its private key unwraps
		return []uint{pkcs11.CKO_PRIVATE_KEY}
	}
	return []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY}
}

// find returns the objects of a class with the label and id of the URI.
func (s *session) find(class uint, more ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	template := append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}, more...)
	if len(more) == 0 {
		if s.uri.Object != "" {
			template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, s.uri.Object))
		}
		if len(s.uri.ID) > 0 {
			template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, s.uri.ID))
		}
	}
	if err := s.FindObjectsInit(s.handle, template); err != nil {
		return nil, fmt.Errorf("looking for the key: %w", failed("C_FindObjectsInit", err))
	}
	handles, _, err := s.FindObjects(s.handle, maxObjects)
	if err != nil {
		_ = s.FindObjectsFinal(s.handle)
		return nil, fmt.Errorf("looking for the key: %w", failed("C_FindObjects", err))
	}
	if err := s.FindObjectsFinal(s.handle); err != nil {
		return nil, fmt.Errorf("looking for the key: %w", failed("C_FindObjectsFinal", err))
	}
	return handles, nil
}

// describe reads what the token says of a key; ok is false for a key of a type
// that cannot wrap.
func (s *session) describe(handle pkcs11.ObjectHandle, class uint) (k key, ok bool, err error) {
	kind, err := s.number(handle, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return key{}, false, fmt.Errorf("looking at the key: %w", err)
	}
	k = key{handle: handle, rsa: class == pkcs11.CKO_PRIVATE_KEY}
	if want := map[bool]uint{false: pkcs11.CKK_AES, true: pkcs11.CKK_RSA}[k.rsa]; kind != want {
		return key{}, false, nil
	}
	k.label, _ = s.attribute(handle, pkcs11.CKA_LABEL)
	k.id, _ = s.attribute(handle, pkcs11.CKA_ID)
	k.alwaysAuthenticate = s.flag(handle, pkcs11.CKA_ALWAYS_AUTHENTICATE, false)
	k.info = KeyInfo{
		Label: string(k.label), ID: hex.EncodeToString(k.id), Kind: "AES",
		Token: trim(s.slot.token.Label), Serial: trim(s.slot.token.SerialNumber),
		// What the token does not say is taken for the worst.
		Sensitive:   s.flag(handle, pkcs11.CKA_SENSITIVE, false),
		Extractable: s.flag(handle, pkcs11.CKA_EXTRACTABLE, true),
		Local:       s.flag(handle, pkcs11.CKA_LOCAL, false),
	}
	if k.rsa {
		k.info.Kind = "RSA"
		modulus, _ := s.attribute(handle, pkcs11.CKA_MODULUS)
		k.info.Bits = new(big.Int).SetBytes(modulus).BitLen()
	} else if bytes, err := s.number(handle, pkcs11.CKA_VALUE_LEN); err == nil {
		k.info.Bits = int(bytes) * 8
	}
	return k, true, nil
}

// attribute reads one attribute. Tokens fail a whole request for the sake of
// one that they do not have.
func (s *session) attribute(handle pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	attributes, err := s.GetAttributeValue(s.handle, handle, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, failed("C_GetAttributeValue", err)
	}
	if len(attributes) != 1 {
		return nil, &Failure{Class: ClassRefused, Call: "C_GetAttributeValue", Text: "C_GetAttributeValue returned nothing"}
	}
	return attributes[0].Value, nil
}

func (s *session) number(handle pkcs11.ObjectHandle, kind uint) (uint, error) {
	value, err := s.attribute(handle, kind)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, &Failure{Class: ClassRefused, Call: "C_GetAttributeValue", Text: "C_GetAttributeValue returned a number of an odd size"}
	}
	return uint(binary.NativeEndian.Uint64(value)), nil
}

func (s *session) flag(handle pkcs11.ObjectHandle, kind uint, otherwise bool) bool {
	value, err := s.attribute(handle, kind)
	if err != nil || len(value) == 0 {
		return otherwise
	}
	return value[0] != 0
}

// hmacKey finds the HMAC key beside an AES key.
func (s *session) hmacKey(k key) (pkcs11.ObjectHandle, error) {
	label := pkcs11.NewAttribute(pkcs11.CKA_LABEL, string(k.label)+hmacSuffix)
	handles, err := s.find(pkcs11.CKO_SECRET_KEY, label)
	if err != nil {
		return 0, err
	}
	if len(handles) != 1 {
		return 0, setup("aes-cbc-hmac needs exactly one second key with the label %q, and the token has %d", string(k.label)+hmacSuffix, len(handles))
	}
	if s.flag(handles[0], pkcs11.CKA_EXTRACTABLE, true) || !s.flag(handles[0], pkcs11.CKA_SENSITIVE, false) {
		return 0, setup("the key %q can be taken out of the token", string(k.label)+hmacSuffix)
	}
	return handles[0], nil
}

// publicKey is the public half of an RSA key.
func (s *session) publicKey(k key) (*rsa.PublicKey, error) {
	handles := []pkcs11.ObjectHandle{k.handle}
	if len(k.id) > 0 { // some tokens tell it only of the public object
		if more, err := s.find(pkcs11.CKO_PUBLIC_KEY, pkcs11.NewAttribute(pkcs11.CKA_ID, k.id)); err == nil {
			handles = slices.Concat(handles, more)
		}
	}
	for _, handle := range handles {
		modulus, err1 := s.attribute(handle, pkcs11.CKA_MODULUS)
		exponent, err2 := s.attribute(handle, pkcs11.CKA_PUBLIC_EXPONENT)
		if err1 != nil || err2 != nil || len(modulus) == 0 || len(exponent) == 0 || len(exponent) > 4 {
			continue
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
		if public.N.BitLen() < minRSABits {
			return nil, setup("the RSA key has %d bits, at least %d are needed", public.N.BitLen(), minRSABits)
		}
		return public, nil
	}
	return nil, setup("the token does not tell the public half of the RSA key")
}

// minRSABits is the shortest RSA key that is used.
const minRSABits = 2048
