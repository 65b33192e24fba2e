package token

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // OAEP with it is not broken: its hash needs no resistance to collisions
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/miekg/pkcs11"
)

// The mechanisms, as a seal stores them.
const (
	AESGCM        = "aes-gcm"
	AESKeyWrapPad = "aes-key-wrap-pad"
	AESKeyWrap    = "aes-key-wrap"
	AESCBCHMAC    = "aes-cbc-hmac"
	RSAOAEPSHA256 = "rsa-oaep-sha256"
	RSAOAEPSHA1   = "rsa-oaep-sha1"
	RSAPKCS1      = "rsa-pkcs1"
)

// wrapLabel separates what is wrapped here from other uses of a key.
const wrapLabel = "datasette-secrets seal pkcs11 v1"

// mechanism is one way to wrap.
type mechanism struct {
	name   string
	needs  []uint // mechanisms that the token must list
	rsa    bool   // for RSA keys; else for AES keys
	wrap   func(s *session, k key, root []byte) ([]byte, error)
	unwrap func(s *session, k key, wrapped []byte) ([]byte, error)
}

// mechanisms are all of them, the best first.
func mechanisms() []mechanism {
	return []mechanism{
		{AESGCM, []uint{pkcs11.CKM_AES_GCM}, false, (*session).wrapGCM, (*session).unwrapGCM},
		{AESKeyWrapPad, []uint{pkcs11.CKM_AES_KEY_WRAP_PAD}, false, wrapKeyBy(pkcs11.CKM_AES_KEY_WRAP_PAD), unwrapKeyBy(pkcs11.CKM_AES_KEY_WRAP_PAD)},
		{AESKeyWrap, []uint{pkcs11.CKM_AES_KEY_WRAP}, false, wrapKeyBy(pkcs11.CKM_AES_KEY_WRAP), unwrapKeyBy(pkcs11.CKM_AES_KEY_WRAP)},
		{AESCBCHMAC, []uint{pkcs11.CKM_AES_CBC_PAD, pkcs11.CKM_SHA256_HMAC}, false, (*session).wrapCBC, (*session).unwrapCBC},
		{RSAOAEPSHA256, []uint{pkcs11.CKM_RSA_PKCS_OAEP}, true, wrapOAEP(sha256.New), unwrapOAEP(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256)},
		{RSAOAEPSHA1, []uint{pkcs11.CKM_RSA_PKCS_OAEP}, true, wrapOAEP(sha1.New), unwrapOAEP(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1)},
		{RSAPKCS1, []uint{pkcs11.CKM_RSA_PKCS}, true, (*session).wrapPKCS1, (*session).unwrapPKCS1},
	}
}

// MechanismNames are the names of all mechanisms, in the order in which they
// are tried.
func MechanismNames() []string {
	var names []string
	for _, m := range mechanisms() {
		names = append(names, m.name)
	}
	return names
}

// candidates returns the mechanisms to try, for keys of both kinds: one by name,
// or all that the token lists.
func candidates(listed map[uint]bool, name string, allowPKCS1 bool) ([]mechanism, error) {
	if name != "" && !slices.Contains(MechanismNames(), name) {
		return nil, setup("the mechanism %q is not known; there are: %v", name, MechanismNames())
	}
	if name == RSAPKCS1 && !allowPKCS1 {
		return nil, setup("the mechanism rsa-pkcs1 has to be allowed by --allow-rsa-pkcs1, or allow-rsa-pkcs1: true in the configuration")
	}
	var some []mechanism
	for _, m := range mechanisms() {
		missing := slices.ContainsFunc(m.needs, func(n uint) bool { return !listed[n] })
		if name == m.name || name == "" && !missing && (m.name != RSAPKCS1 || allowPKCS1) {
			some = append(some, m)
		}
	}
	if len(some) == 0 {
		return nil, setup("the token lists none of the mechanisms that can be used")
	}
	return some, nil
}

// prove wraps and unwraps once, and returns what it wrapped.
func (m mechanism) prove(s *session, k key, root []byte) ([]byte, error) {
	if m.rsa != k.rsa {
		return nil, setup("%s is not for keys of the kind %s", m.name, k.info.Kind)
	}
	wrapped, err := m.wrap(s, k, root)
	if err != nil {
		return nil, fmt.Errorf("wrapping with %s: %w", m.name, err)
	}
	opened, err := m.unwrap(s, k, wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrapping with %s: %w", m.name, err)
	}
	defer clear(opened)
	if subtle.ConstantTimeCompare(opened, root) != 1 {
		return nil, &Failure{Class: ClassRefused, Text: "unwrapping with " + m.name + " gives something else than was wrapped"}
	}
	if bytes.Contains(wrapped, root) {
		return nil, &Failure{Class: ClassRefused, Text: "wrapping with " + m.name + " encrypts nothing"}
	}
	return wrapped, nil
}

// errIV: the token does not take our IV.
func wantsOwnIV(err error) bool {
	return errors.Is(err, pkcs11.Error(pkcs11.CKR_MECHANISM_PARAM_INVALID)) || errors.Is(err, pkcs11.Error(pkcs11.CKR_ARGUMENTS_BAD))
}

const ivLen = 12 // of GCM, in bytes

// wrapGCM lets this process choose the IV, or the token where it insists.
func (s *session) wrapGCM(k key, root []byte) ([]byte, error) {
	iv := make([]byte, ivLen)
	rand.Read(iv) // never fails
	wrapped, call, err := s.encryptGCM(k, iv, root)
	if err != nil && wantsOwnIV(err) {
		wrapped, call, err = s.encryptGCM(k, make([]byte, ivLen), root)
	}
	if err != nil {
		return nil, failed(call, err)
	}
	if bytes.Equal(wrapped[1:1+ivLen], make([]byte, ivLen)) {
		return nil, &Failure{Class: ClassRefused, Text: "the token uses an IV of zeros"}
	}
	return wrapped, nil
}

func (s *session) encryptGCM(k key, iv, root []byte) (wrapped []byte, call string, err error) {
	parameters := pkcs11.NewGCMParams(iv, []byte(wrapLabel), 128)
	defer parameters.Free()
	if err := s.EncryptInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, parameters)}, k.handle); err != nil {
		return nil, "C_EncryptInit", err
	}
	encrypted, err := s.Encrypt(s.handle, root)
	if err != nil {
		return nil, "C_Encrypt", err
	}
	used := parameters.IV() // the token may have put its own there
	if len(used) != ivLen {
		return nil, "C_Encrypt", fmt.Errorf("it used an IV of %d bytes", len(used))
	}
	return slices.Concat([]byte{ivLen}, used, encrypted), "", nil
}

func (s *session) unwrapGCM(k key, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 1+ivLen || wrapped[0] != ivLen {
		return nil, damaged()
	}
	parameters := pkcs11.NewGCMParams(wrapped[1:1+ivLen], []byte(wrapLabel), 128)
	defer parameters.Free()
	return s.decrypt(k, pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, parameters), wrapped[1+ivLen:])
}

func damaged() error {
	return &Failure{Class: ClassData, Text: "the wrapped root key has a wrong form"}
}

// decrypt lets the token decrypt, with another login for each use where the key
// wants that.
func (s *session) decrypt(k key, m *pkcs11.Mechanism, data []byte) ([]byte, error) {
	if err := s.DecryptInit(s.handle, []*pkcs11.Mechanism{m}, k.handle); err != nil {
		return nil, failed("C_DecryptInit", err)
	}
	if k.alwaysAuthenticate {
		if err := s.Login(s.handle, pkcs11.CKU_CONTEXT_SPECIFIC, s.pin); err != nil {
			return nil, failed("C_Login", err)
		}
	}
	clear, err := s.Decrypt(s.handle, data)
	return clear, failed("C_Decrypt", err)
}

// wrapKeyBy puts the root key into the token for a moment, as a key that may
// leave it, and lets it leave wrapped.
func wrapKeyBy(code uint) func(*session, key, []byte) ([]byte, error) {
	return func(s *session, k key, root []byte) ([]byte, error) {
		guest, err := s.CreateObject(s.handle, append(guestTemplate(), pkcs11.NewAttribute(pkcs11.CKA_VALUE, root)))
		if err != nil {
			return nil, failed("C_CreateObject", err)
		}
		wrapped, err := s.WrapKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(code, nil)}, k.handle, guest)
		return wrapped, errors.Join(failed("C_WrapKey", err), s.forget(guest))
	}
}

func unwrapKeyBy(code uint) func(*session, key, []byte) ([]byte, error) {
	return func(s *session, k key, wrapped []byte) ([]byte, error) {
		guest, err := s.UnwrapKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(code, nil)}, k.handle, wrapped, guestTemplate())
		if err != nil {
			return nil, failed("C_UnwrapKey", err)
		}
		value, err := s.attribute(guest, pkcs11.CKA_VALUE)
		return value, errors.Join(err, s.forget(guest))
	}
}

// guestTemplate is an AES key of this session only, which may leave the token.
func guestTemplate() []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
	}
}

// forget takes an object of the session out of the token again.
func (s *session) forget(guest pkcs11.ObjectHandle) error {
	return failed("C_DestroyObject", s.DestroyObject(s.handle, guest))
}

const (
	cbcIVLen = 16 // in bytes
	hmacLen  = 32
)

func (s *session) wrapCBC(k key, root []byte) ([]byte, error) {
	hmac, err := s.hmacKey(k)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, cbcIVLen)
	rand.Read(iv) // never fails
	if err := s.EncryptInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_CBC_PAD, iv)}, k.handle); err != nil {
		return nil, failed("C_EncryptInit", err)
	}
	encrypted, err := s.Encrypt(s.handle, root)
	if err != nil {
		return nil, failed("C_Encrypt", err)
	}
	sealed := slices.Concat(iv, encrypted)
	sum, err := s.hmac(hmac, sealed)
	return slices.Concat(sealed, sum), err
}

// unwrapCBC decrypts nothing before it knows that this token made it.
func (s *session) unwrapCBC(k key, wrapped []byte) ([]byte, error) {
	if len(wrapped) < cbcIVLen+hmacLen {
		return nil, damaged()
	}
	hmac, err := s.hmacKey(k)
	if err != nil {
		return nil, err
	}
	sealed, sum := wrapped[:len(wrapped)-hmacLen], wrapped[len(wrapped)-hmacLen:]
	want, err := s.hmac(hmac, sealed)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(sum, want) != 1 {
		return nil, &Failure{Class: ClassData, Text: "the key on the token is not the one that this seal was made with"}
	}
	return s.decrypt(k, pkcs11.NewMechanism(pkcs11.CKM_AES_CBC_PAD, sealed[:cbcIVLen]), sealed[cbcIVLen:])
}

// hmac is HMAC-SHA-256 by the token. Its length is checked, so that an empty
// one equals nothing.
func (s *session) hmac(handle pkcs11.ObjectHandle, data []byte) ([]byte, error) {
	if err := s.SignInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_SHA256_HMAC, nil)}, handle); err != nil {
		return nil, failed("C_SignInit", err)
	}
	sum, err := s.Sign(s.handle, slices.Concat([]byte(wrapLabel), data))
	if err != nil {
		return nil, failed("C_Sign", err)
	}
	if len(sum) != hmacLen {
		return nil, &Failure{Class: ClassRefused, Call: "C_Sign", Text: fmt.Sprintf("C_Sign returned %d bytes", len(sum))}
	}
	return sum, nil
}

func wrapOAEP(newHash func() hash.Hash) func(*session, key, []byte) ([]byte, error) {
	return func(s *session, k key, root []byte) ([]byte, error) {
		public, err := s.publicKey(k)
		if err != nil {
			return nil, err
		}
		return rsa.EncryptOAEP(newHash(), rand.Reader, public, root, nil)
	}
}

func unwrapOAEP(hashCode, mgf uint) func(*session, key, []byte) ([]byte, error) {
	return func(s *session, k key, wrapped []byte) ([]byte, error) {
		parameters := pkcs11.NewOAEPParams(hashCode, mgf, pkcs11.CKZ_DATA_SPECIFIED, nil)
		return s.decrypt(k, pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, parameters), wrapped)
	}
}

func (s *session) wrapPKCS1(k key, root []byte) ([]byte, error) {
	public, err := s.publicKey(k)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 older tokens offer nothing else; it is the last choice, and what is wrapped is random
	return rsa.EncryptPKCS1v15(rand.Reader, public, root)
}

func (s *session) unwrapPKCS1(k key, wrapped []byte) ([]byte, error) {
	return s.decrypt(k, pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), wrapped)
}
