package token

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// wrap wraps a root key with the first mechanism that works, or the named one.
func (m *module) wrap(r Request, tell func(Stage)) (Result, error) {
	if len(r.Data) != rootLen {
		return Result{}, setup("a root key has %d bytes, not %d", rootLen, len(r.Data))
	}
	s, err := m.open(r, false, tell)
	if err != nil {
		return Result{}, err
	}
	k, err := s.findKey()
	if err != nil {
		return Result{}, err
	}
	some, err := s.candidates(r)
	if err != nil {
		return Result{}, err
	}
	wrapped, name, err := s.firstThatWorks(some, k, r.Data)
	return Result{Data: wrapped, Mechanism: name, Key: &k.info}, err
}

func (s *session) candidates(r Request) ([]mechanism, error) {
	listed, err := s.lists()
	if err != nil {
		return nil, err
	}
	return candidates(listed, r.Mechanism, r.AllowPKCS1)
}

// firstThatWorks tells, if none does, what was wrong with each.
func (s *session) firstThatWorks(some []mechanism, k key, root []byte) ([]byte, string, error) {
	var failures []string
	for _, m := range some {
		if m.rsa != k.rsa {
			continue
		}
		wrapped, err := m.prove(s, k, root)
		if err == nil {
			return wrapped, m.name, nil
		}
		if f := asFailure(err); f.Class == ClassGone || f.Class == ClassPIN {
			return nil, "", err // nothing will work now
		}
		failures = append(failures, err.Error())
	}
	if len(failures) == 0 {
		return nil, "", setup("the token lists no mechanism for a key of the kind %s", k.info.Kind)
	}
	return nil, "", setup("no mechanism works with this key: %s", strings.Join(failures, "; "))
}

// unwrap decrypts a wrapped root key.
func (m *module) unwrap(r Request, tell func(Stage)) (Result, error) {
	some, err := candidates(nil, r.Mechanism, r.AllowPKCS1)
	if err != nil {
		return Result{}, err
	}
	s, err := m.open(r, false, tell)
	if err != nil {
		return Result{}, err
	}
	k, err := s.findKey()
	if err != nil {
		return Result{}, err
	}
	if some[0].rsa != k.rsa {
		return Result{}, &Failure{Class: ClassData, Text: fmt.Sprintf("the seal was made with %s, and the key on the token is of the kind %s", some[0].name, k.info.Kind)}
	}
	root, err := some[0].unwrap(s, k, r.Data)
	if err == nil && len(root) != rootLen {
		err = damaged()
	}
	if err != nil {
		return Result{}, fmt.Errorf("unwrapping with %s: %w", some[0].name, err)
	}
	return Result{Data: root, Mechanism: some[0].name, Key: &k.info}, nil
}

// init makes a key on the token for the first mechanism that works with one.
func (m *module) init(r Request, tell func(Stage)) (Result, error) {
	if m.uri.Object == "" {
		return Result{}, setup("the PKCS#11 URI names no label for the new key: add object=LABEL")
	}
	s, err := m.open(r, true, tell)
	if err != nil {
		return Result{}, err
	}
	if err := s.mustBeFree(); err != nil {
		return Result{}, err
	}
	some, err := s.candidates(r)
	if err != nil {
		return Result{}, err
	}
	probe := make([]byte, rootLen)
	rand.Read(probe) // never fails
	var failures []string
	for _, mechanism := range some {
		k, err := s.make(mechanism)
		if err == nil {
			if _, err = mechanism.prove(s, k, probe); err == nil {
				return Result{Mechanism: mechanism.name, Key: &k.info}, nil
			}
		}
		failures = append(failures, err.Error())
		if err := s.removeMade(); err != nil {
			return Result{}, fmt.Errorf("removing a key that does not work: %w", err)
		}
		if f := asFailure(err); f.Class == ClassGone || f.Class == ClassPIN {
			return Result{}, err
		}
	}
	return Result{}, setup("no key could be made that works: %s", strings.Join(failures, "; "))
}

// mustBeFree refuses a label that is in use, whatever for.
func (s *session) mustBeFree() error {
	for _, label := range []string{s.uri.Object, s.uri.Object + hmacSuffix} {
		for _, class := range []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
			handles, err := s.find(class, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
			if err != nil {
				return err
			}
			if len(handles) > 0 {
				return setup("the token has an object with the label %q already, and nothing was changed; choose another object=LABEL, or use the key that is there", label)
			}
		}
	}
	return nil
}

// removeMade removes what make made. Only labels that were free are touched.
func (s *session) removeMade() error {
	for _, label := range []string{s.uri.Object, s.uri.Object + hmacSuffix} {
		for _, class := range []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
			handles, err := s.find(class, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
			if err != nil {
				return err
			}
			for _, handle := range handles {
				if err := s.forget(handle); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// make makes the key for a mechanism, which can do nothing else, and returns it
// as the token describes it.
func (s *session) make(m mechanism) (key, error) {
	id := slices.Clone(s.uri.ID)
	if len(id) == 0 {
		id = make([]byte, 8)
		rand.Read(id) // never fails
	}
	if m.rsa {
		return s.makeRSA(id)
	}
	uses := map[string][]uint{
		AESGCM:        {pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT},
		AESCBCHMAC:    {pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT},
		AESKeyWrapPad: {pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP},
		AESKeyWrap:    {pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP},
	}[m.name]
	handle, err := s.makeSecret(pkcs11.CKM_AES_KEY_GEN, pkcs11.CKK_AES, s.uri.Object, id, uses)
	if err != nil {
		return key{}, fmt.Errorf("making an AES key for %s: %w", m.name, err)
	}
	if m.name == AESCBCHMAC {
		uses := []uint{pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY}
		if _, err := s.makeSecret(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, pkcs11.CKK_GENERIC_SECRET, s.uri.Object+hmacSuffix, id, uses); err != nil {
			return key{}, fmt.Errorf("making an HMAC key: %w", err)
		}
	}
	return s.made(handle, pkcs11.CKO_SECRET_KEY)
}

func (s *session) makeSecret(generate, kind uint, label string, id []byte, uses []uint) (pkcs11.ObjectHandle, error) {
	template := append(hidden(label, id),
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, kind),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32))
	for _, use := range []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP, pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY} {
		template = append(template, pkcs11.NewAttribute(use, slices.Contains(uses, use)))
	}
	handle, err := s.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(generate, nil)}, template)
	return handle, failed("C_GenerateKey", err)
}

// hidden is the part of a template that makes a key stay in the token.
func hidden(label string, id []byte) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
	}
}

func (s *session) makeRSA(id []byte) (key, error) {
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, s.uri.Object),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, minRSABits),
		pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
	}
	private := append(hidden(s.uri.Object, id), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true))
	generate := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)}
	_, handle, err := s.GenerateKeyPair(s.handle, generate,
		append(slices.Clone(public), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, false)),
		append(slices.Clone(private), pkcs11.NewAttribute(pkcs11.CKA_SIGN, false)))
	if err != nil { // a TPM's keys always sign as well
		_, handle, err = s.GenerateKeyPair(s.handle, generate, public, private)
	}
	if err != nil {
		return key{}, fmt.Errorf("making an RSA key: %w", failed("C_GenerateKeyPair", err))
	}
	return s.made(handle, pkcs11.CKO_PRIVATE_KEY)
}

// made looks at a new key: a token may ignore what it was asked for.
func (s *session) made(handle pkcs11.ObjectHandle, class uint) (key, error) {
	k, ok, err := s.describe(handle, class)
	if err != nil {
		return key{}, err
	}
	if !ok || k.info.Extractable || !k.info.Sensitive {
		return key{}, &Failure{Class: ClassRefused, Text: "the token made a key that can be taken out, although it was asked for another"}
	}
	return k, nil
}

// doctor looks at everything that a seal needs, in order, and tries it.
func (m *module) doctor(r Request, tell func(Stage)) (Result, error) {
	report := &Report{Library: m.library(), Cryptoki: version(m.info.CryptokiVersion)}
	err := m.examine(report, r, tell)
	if err != nil {
		report.Problems = append(report.Problems, err.Error())
	}
	return Result{Report: report, Key: report.Key}, err
}

func (m *module) examine(report *Report, r Request, tell func(Stage)) error {
	all, err := m.slots()
	if err != nil {
		return err
	}
	chosen, err := m.choose(all)
	for _, s := range all {
		report.Slots = append(report.Slots, SlotInfo{
			ID: s.id, Description: trim(s.slot.SlotDescription), Label: trim(s.token.Label),
			Maker: trim(s.token.ManufacturerID), Model: trim(s.token.Model), Serial: trim(s.token.SerialNumber),
			Firmware: version(s.token.FirmwareVersion), Chosen: err == nil && s.id == chosen.id,
		})
	}
	if err != nil {
		return err
	}
	report.Token, report.Firmware = trim(chosen.token.Label), version(chosen.token.FirmwareVersion)
	s, err := m.openSlot(chosen, r, false, tell)
	if err != nil {
		return err
	}
	report.Login = "works"
	if chosen.token.Flags&pkcs11.CKF_LOGIN_REQUIRED == 0 {
		report.Login = "not needed"
	}
	listed, err := s.lists()
	if err != nil {
		return err
	}
	for code := range listed {
		report.Mechanisms = append(report.Mechanisms, mechanismName(code))
	}
	slices.Sort(report.Mechanisms)
	some, err := candidates(listed, r.Mechanism, r.AllowPKCS1)
	if err != nil {
		return err
	}
	k, err := s.findKey()
	if err != nil {
		return err
	}
	report.Key = &k.info
	return s.try(report, some, k)
}

// try wraps and unwraps with each mechanism. A seal would work if one does.
func (s *session) try(report *Report, some []mechanism, k key) error {
	probe := make([]byte, rootLen)
	rand.Read(probe) // never fails
	works := false
	for _, m := range some {
		if m.rsa != k.rsa {
			continue
		}
		trial := Trial{Mechanism: m.name}
		start := time.Now()
		wrapped, err := m.wrap(s, k, probe)
		trial.Wrap = time.Since(start)
		if err == nil {
			start = time.Now()
			_, err = m.unwrap(s, k, wrapped)
			trial.Unwrap = time.Since(start)
		}
		if err == nil {
			_, err = m.prove(s, k, probe)
		}
		trial.Works = err == nil
		if err != nil {
			trial.Error = err.Error()
		}
		works = works || trial.Works
		report.Trials = append(report.Trials, trial)
	}
	if !works {
		return setup("no mechanism works with the key %q", k.info.Label)
	}
	return nil
}

// mechanismName is the name of a mechanism in the standard, or its number.
func mechanismName(code uint) string {
	for name, known := range pkcs11MechanismNames() {
		if known == code {
			return name
		}
	}
	return fmt.Sprintf("0x%X", code)
}

// pkcs11MechanismNames are the mechanisms that matter for a seal.
func pkcs11MechanismNames() map[string]uint {
	return map[string]uint{
		"CKM_AES_KEY_GEN":            pkcs11.CKM_AES_KEY_GEN,
		"CKM_AES_ECB":                pkcs11.CKM_AES_ECB,
		"CKM_AES_CBC":                pkcs11.CKM_AES_CBC,
		"CKM_AES_CBC_PAD":            pkcs11.CKM_AES_CBC_PAD,
		"CKM_AES_CTR":                pkcs11.CKM_AES_CTR,
		"CKM_AES_GCM":                pkcs11.CKM_AES_GCM,
		"CKM_AES_KEY_WRAP":           pkcs11.CKM_AES_KEY_WRAP,
		"CKM_AES_KEY_WRAP_PAD":       pkcs11.CKM_AES_KEY_WRAP_PAD,
		"CKM_SHA256_HMAC":            pkcs11.CKM_SHA256_HMAC,
		"CKM_GENERIC_SECRET_KEY_GEN": pkcs11.CKM_GENERIC_SECRET_KEY_GEN,
		"CKM_RSA_PKCS":               pkcs11.CKM_RSA_PKCS,
		"CKM_RSA_PKCS_OAEP":          pkcs11.CKM_RSA_PKCS_OAEP,
		"CKM_RSA_PKCS_KEY_PAIR_GEN":  pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN,
	}
}
