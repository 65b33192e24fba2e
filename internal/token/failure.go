package token

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Class is what kind of failure it was, for whoever decides what to do.
type Class string

// The classes of failures.
const (
	ClassPIN     Class = "pin"     // the token refused the PIN: another try may lock it
	ClassGone    Class = "gone"    // the token or its session went away: starting anew may help
	ClassData    Class = "data"    // the key does not open what it was given
	ClassSetup   Class = "setup"   // the URI, the key or the mechanism is wrong
	ClassModule  Class = "module"  // the module cannot be loaded
	ClassRefused Class = "refused" // the token failed in any other way
)

// Failure is why a request was not done. Its text holds no PIN and no key.
type Failure struct {
	Class Class
	Call  string `json:",omitempty"` // the function of the module, such as C_Login
	Code  uint   `json:",omitempty"` // what it returned
	Text  string
}

// Error says what failed.
func (f *Failure) Error() string { return f.Text }

// setup is a failure that the operator has to put right.
func setup(format string, args ...any) *Failure {
	return &Failure{Class: ClassSetup, Text: fmt.Sprintf(format, args...)}
}

// failed makes a Failure of the error of a call.
func failed(call string, err error) error {
	if err == nil {
		return nil
	}
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return &Failure{Class: ClassRefused, Call: call, Text: call + " failed"}
	}
	f := &Failure{Class: classOf(uint(code)), Call: call, Code: uint(code), Text: call + " returned " + codeName(uint(code))}
	if hint := hints()[uint(code)]; hint != "" {
		f.Text += ": " + hint
	}
	return f
}

func codeName(code uint) string {
	name := pkcs11.Error(code).Error() // "pkcs11: 0xA0: CKR_PIN_INCORRECT"
	var number uint
	var text string
	if _, err := fmt.Sscanf(name, "pkcs11: 0x%X: %s", &number, &text); err != nil || text == "" {
		return fmt.Sprintf("0x%X", code)
	}
	return text
}

func classOf(code uint) Class {
	switch code {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED:
		return ClassPIN
	case pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED:
		return ClassGone
	case pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, pkcs11.CKR_WRAPPED_KEY_INVALID, pkcs11.CKR_WRAPPED_KEY_LEN_RANGE, pkcs11.CKR_SIGNATURE_INVALID:
		return ClassData
	}
	return ClassRefused
}

// hints say what a return value means in practice.
func hints() map[uint]string {
	return map[uint]string{
		pkcs11.CKR_PIN_INCORRECT:              "the PIN is wrong; it is not tried again by itself, because tokens lock themselves after a few wrong ones",
		pkcs11.CKR_PIN_LOCKED:                 "the PIN is locked after too many wrong ones; unlock it with the tool of the token's maker",
		pkcs11.CKR_PIN_EXPIRED:                "the PIN has expired; change it with the tool of the token's maker",
		pkcs11.CKR_PIN_LEN_RANGE:              "the PIN is too short or too long for this token",
		pkcs11.CKR_USER_PIN_NOT_INITIALIZED:   "the token has no user PIN yet; set one with the tool of the token's maker",
		pkcs11.CKR_TOKEN_NOT_PRESENT:          "the token is not there; put it in",
		pkcs11.CKR_DEVICE_REMOVED:             "the token was taken out",
		pkcs11.CKR_DEVICE_ERROR:               "the device has a problem, or its service does not run",
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED: "the key on the token was made for something else",
		pkcs11.CKR_USER_NOT_LOGGED_IN:         "the token wants a PIN, and none was given",
	}
}
