package token

import (
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"
)

// slot is a slot with a token in it.
type slot struct {
	id    uint
	slot  pkcs11.SlotInfo
	token pkcs11.TokenInfo
}

// slots returns every slot with a token.
func (m *module) slots() ([]slot, error) {
	ids, err := m.GetSlotList(true)
	if err != nil {
		return nil, fmt.Errorf("listing the slots: %w", failed("C_GetSlotList", err))
	}
	var all []slot
	for _, id := range ids {
		s := slot{id: id}
		if s.slot, err = m.GetSlotInfo(id); err != nil {
			return nil, fmt.Errorf("looking at slot %d: %w", id, failed("C_GetSlotInfo", err))
		}
		if s.token, err = m.GetTokenInfo(id); err != nil {
			return nil, fmt.Errorf("looking at the token in slot %d: %w", id, failed("C_GetTokenInfo", err))
		}
		all = append(all, s)
	}
	return all, nil
}

// matches reports whether the URI means this slot and token.
func (s slot) matches(u URI) bool {
	if u.SlotID != nil && *u.SlotID != s.id {
		return false
	}
	for _, attribute := range [][2]string{
		{u.Token, s.token.Label}, {u.Manufacturer, s.token.ManufacturerID}, {u.Model, s.token.Model},
		{u.Serial, s.token.SerialNumber}, {u.SlotDescription, s.slot.SlotDescription}, {u.SlotManufacturer, s.slot.ManufacturerID},
	} {
		if attribute[0] != "" && attribute[0] != trim(attribute[1]) {
			return false
		}
	}
	return true
}

func (s slot) String() string {
	return fmt.Sprintf("token=%s;serial=%s (slot-id=%d)", escape(trim(s.token.Label)), escape(trim(s.token.SerialNumber)), s.id)
}

// usable reports whether the token has been initialized.
func (s slot) usable() bool { return s.token.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 }

// choose returns the one token that the URI means.
func (m *module) choose(all []slot) (slot, error) {
	if err := m.checkLibrary(); err != nil {
		return slot{}, err
	}
	var matching, there []string
	var chosen slot
	for _, s := range all {
		if !s.usable() {
			continue
		}
		there = append(there, s.String())
		if s.matches(m.uri) {
			matching = append(matching, s.String())
			chosen = s
		}
	}
	switch len(matching) {
	case 1:
		return chosen, nil
	case 0:
		text := "no token is there"
		if len(there) > 0 {
			text = "no token is what the URI says; there are: " + strings.Join(there, ", ")
		}
		return slot{}, &Failure{Class: ClassGone, Text: text}
	}
	return slot{}, setup("the URI fits several tokens, add what tells them apart: %s", strings.Join(matching, ", "))
}

func (m *module) checkLibrary() error {
	for _, attribute := range [][3]string{
		{"library-manufacturer", m.uri.LibraryManufacturer, m.info.ManufacturerID},
		{"library-description", m.uri.LibraryDescription, m.info.LibraryDescription},
		{"library-version", m.uri.LibraryVersion, version(m.info.LibraryVersion)},
	} {
		if attribute[1] != "" && attribute[1] != trim(attribute[2]) {
			return setup("the module's %s is %q, and the URI says another", attribute[0], trim(attribute[2]))
		}
	}
	return nil
}

// session is an open session with the token, logged in if it wants that.
type session struct {
	*module
	slot   slot
	handle pkcs11.SessionHandle
	pin    string
}

// open opens a session with the token that the URI means.
func (m *module) open(r Request, write bool, tell func(Stage)) (*session, error) {
	all, err := m.slots()
	if err != nil {
		return nil, err
	}
	chosen, err := m.choose(all)
	if err != nil {
		return nil, err
	}
	return m.openSlot(chosen, r, write, tell)
}

func (m *module) openSlot(chosen slot, r Request, write bool, tell func(Stage)) (*session, error) {
	flags := uint(pkcs11.CKF_SERIAL_SESSION)
	if write {
		flags |= pkcs11.CKF_RW_SESSION
	}
	handle, err := m.OpenSession(chosen.id, flags)
	if err != nil {
		return nil, fmt.Errorf("opening a session with the token: %w", failed("C_OpenSession", err))
	}
	s := &session{module: m, slot: chosen, handle: handle, pin: r.PIN}
	if err := s.login(r, tell); err != nil {
		return nil, err
	}
	return s, nil
}

// login gives the token the PIN, once. A token that is about to lock itself is
// not given any: the one try that is left is for a person.
func (s *session) login(r Request, tell func(Stage)) error {
	flags := s.slot.token.Flags
	if flags&pkcs11.CKF_LOGIN_REQUIRED == 0 {
		return nil
	}
	if flags&pkcs11.CKF_USER_PIN_LOCKED != 0 {
		return failed("C_GetTokenInfo", pkcs11.Error(pkcs11.CKR_PIN_LOCKED))
	}
	if flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0 {
		return &Failure{Class: ClassPIN, Call: "C_GetTokenInfo", Text: "the token says that one more wrong PIN locks it, so that none is tried; log in once with the tool of its maker"}
	}
	if !r.HasPIN {
		return &Failure{Class: ClassSetup, Text: "the token wants a PIN, and none was given: name it by pin-source=file:PATH in the URI"}
	}
	tell(StageLogin)
	err := s.Login(s.handle, pkcs11.CKU_USER, r.PIN)
	if err == pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("logging in to the token: %w", failed("C_Login", err))
	}
	tell(StageLoggedIn)
	return nil
}

// lists reports whether the token lists a mechanism.
func (s *session) lists() (map[uint]bool, error) {
	mechanisms, err := s.GetMechanismList(s.slot.id)
	if err != nil {
		return nil, fmt.Errorf("listing the mechanisms: %w", failed("C_GetMechanismList", err))
	}
	all := map[uint]bool{}
	for _, m := range mechanisms {
		all[m.Mechanism] = true
	}
	return all, nil
}
